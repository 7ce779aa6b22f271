//! What the fault harness may order of the object; served in fault mode only.

use std::rc::Rc;

use protocol::{Problem, ProblemCode};

use super::core::Core;
use crate::limits::{FAULTS_BODY_BYTES_MAX, FAULTS_RINGS_MAX};
use crate::platform::faults;
use crate::platform::http::{self, Request, Response};

impl Core {
    /// Sets faults, and rings the alarm as often as ordered.
    pub(super) async fn order_faults(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Response, Problem> {
        if !self.settings.faults {
            return Err(Problem::new(ProblemCode::NotFound, "There is no such route."));
        }
        let body = http::read_bounded(request, FAULTS_BODY_BYTES_MAX).await?;
        let order = faults::parse(&String::from_utf8_lossy(&body))?;
        faults::order(order);
        for _ in 0..order.ring.min(FAULTS_RINGS_MAX) {
            self.on_alarm().await?;
        }
        if order.reset {
            faults::reset_soon(&self.state)?;
        }
        Ok(http::empty(204))
    }
}
