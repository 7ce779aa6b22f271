//! `POST /egress`: what the container's own commands have called, as the container tells it.
//!
//! Invariant: whatever is told is noted as the container's word and as nothing else.

use protocol::egress::{EgressNote, EgressReport, EgressVia};
use protocol::limits::{EGRESS_HOST_BYTES_MAX, EGRESS_REPORT_HOSTS_MAX};
use protocol::version::is_supported;
use protocol::{Problem, ProblemCode};

use super::outbound::record;
use crate::limits::{EGRESS_COUNT_MAX, EGRESS_NOTES_BYTES_MAX};
use crate::platform::Env;
use crate::platform::http::{self, Request, Response};
use crate::platform::loopback::ContainerIdentity;

/// Takes a report.
pub(super) async fn serve(
    request: &mut Request,
    env: &Env,
    caller: &ContainerIdentity,
) -> Result<Response, Problem> {
    let report: EgressReport = http::read_json(request, EGRESS_NOTES_BYTES_MAX).await?;
    record(env, caller, notes(report)?).await.map(|()| http::empty(204))
}

/// What is noted of a report. Pure.
fn notes(report: EgressReport) -> Result<Vec<EgressNote>, Problem> {
    if !is_supported(report.protocol) {
        let message = format!("Protocol {} is not spoken here.", report.protocol);
        return Err(Problem::new(ProblemCode::UnsupportedProtocol, message));
    }
    let is_host = |host: &str| {
        (1..=EGRESS_HOST_BYTES_MAX).contains(&host.len())
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b))
    };
    let well_formed = report.hosts.len() <= EGRESS_REPORT_HOSTS_MAX
        && report.hosts.iter().all(|tally| {
            is_host(&tally.host)
                && tally.calls <= EGRESS_COUNT_MAX
                && tally.bytes <= EGRESS_COUNT_MAX
        });
    if !well_formed {
        return Err(Problem::new(ProblemCode::BadRequest, "The report names what is no host."));
    }
    let note = |tally: protocol::egress::HostTally| EgressNote {
        host: tally.host.to_ascii_lowercase(),
        via: EgressVia::Shell,
        calls: tally.calls,
        bytes: tally.bytes,
        status: 0,
    };
    Ok(report.hosts.into_iter().map(note).collect())
}

#[cfg(test)]
mod tests {
    use protocol::egress::HostTally;

    use super::*;

    fn report(hosts: &[&str]) -> EgressReport {
        let tally = |host: &&str| HostTally { host: (*host).to_owned(), calls: 1, bytes: 2 };
        EgressReport { protocol: 1, hosts: hosts.iter().map(tally).collect() }
    }

    #[test]
    fn a_report_is_the_containers_word() {
        let notes = notes(report(&["PyPI.org", "[::1]:8080"])).unwrap();
        assert!(notes.iter().all(|note| note.via == EgressVia::Shell && note.status == 0));
        assert_eq!(notes[0].host, "pypi.org");
    }

    #[test]
    fn what_is_no_host_is_not_noted() {
        let long = "a".repeat(EGRESS_HOST_BYTES_MAX + 1);
        for host in ["", "a b", "<b>", "a\nb", "`x`", long.as_str()] {
            assert!(notes(report(&[host])).is_err(), "{host}");
        }
        assert!(notes(report(&vec!["a.example"; EGRESS_REPORT_HOSTS_MAX + 1])).is_err());
        let huge = HostTally { host: "a.example".into(), calls: u64::MAX, bytes: 0 };
        assert!(notes(EgressReport { protocol: 1, hosts: vec![huge] }).is_err());
    }
}
