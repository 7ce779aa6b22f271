//! Which segments of the bucket a restore takes in beyond those of the control export, and what
//! they say. Pure.
//!
//! Invariant: what is taken in continues a log without a gap.

use std::collections::BTreeMap;

use protocol::SessionId;
use protocol::session::{Item, Sequence};
use sha2::{Digest as _, Sha256};

use super::segment::{Broken, Records, hex};
use crate::agent::store::control::Adopted;
use crate::agent::store::segments::Segment;

/// A segment that the bucket lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    /// Its session.
    pub(crate) session: SessionId,
    /// Its first record.
    pub(crate) first: Sequence,
    /// Its last record.
    pub(crate) last: Sequence,
    /// Its size.
    pub(crate) bytes: u64,
}

/// Where the logs of a control export end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The last record in a segment.
    pub(crate) covered: BTreeMap<SessionId, Sequence>,
    /// The last record of all.
    pub(crate) heads: BTreeMap<SessionId, Sequence>,
}

/// The segments that continue a session's log, in order, those of a session together.
pub(crate) fn continuing(listed: &[Listed], ends: &Ends) -> Vec<Listed> {
    let mut sorted: Vec<&Listed> = listed.iter().collect();
    // Of two that begin alike the longer one comes first.
    sorted.sort_by(|a, b| (&a.session, a.first, b.last).cmp(&(&b.session, b.first, a.last)));
    let mut chain: Vec<Listed> = Vec::new();
    for segment in sorted {
        let before = match chain.last() {
            Some(last) if last.session == segment.session => last.last,
            _ => ends.covered.get(&segment.session).copied().unwrap_or(0),
        };
        if segment.first == before + 1 {
            chain.push(segment.clone());
        }
    }
    chain
}

/// The segments of the books that the bucket has not as they were written.
pub(crate) fn missing(booked: &[Listed], listed: &[Listed]) -> Vec<Listed> {
    let listed: std::collections::BTreeSet<&Listed> = listed.iter().collect();
    booked.iter().filter(|segment| !listed.contains(segment)).cloned().collect()
}

/// Reads a segment that is to be taken in behind a log whose export ends at `head`.
pub(crate) fn examine(segment: &Listed, content: &[u8], head: Sequence) -> Result<Adopted, Broken> {
    let records = Records::parse(content, segment.first, segment.last)?;
    let overlap_upto = head.min(segment.last);
    let overlap_upto = if overlap_upto < segment.first { 0 } else { overlap_upto };
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let mut overlap = Sha256::new();
    for (_, line) in (segment.first..).zip(lines).take_while(|(at, _)| *at <= overlap_upto) {
        overlap.update(line);
    }
    let mut taken = Vec::new();
    let mut ended = Vec::new();
    for record in records.iter() {
        match &record.item {
            Item::User(message) => {
                let (channel, event) = (message.channel.clone(), message.event.clone());
                taken.push((channel, event, record.turn.clone(), record.at_ms));
            }
            Item::TurnEnded { .. } => ended.push((record.turn.clone(), record.at_ms)),
            _ => {}
        }
    }
    let last = records.iter().next_back();
    let open = last.filter(|record| !matches!(record.item, Item::TurnEnded { .. }));
    Ok(Adopted {
        segment: Segment {
            session: segment.session.clone(),
            first: segment.first,
            last: segment.last,
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        },
        overlap: overlap.finalize().into(),
        overlap_upto,
        taken,
        ended,
        open: open.map(|record| record.turn.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(session: &str, first: Sequence, last: Sequence) -> Listed {
        Listed { session: session.parse().unwrap(), first, last, bytes: 1 }
    }

    #[test]
    fn only_what_continues_without_a_gap_is_taken_in() {
        let mut ends = Ends::default();
        ends.covered.insert("a".parse().unwrap(), 10);
        let all = [
            listed("b", 5, 9),
            listed("a", 21, 30),
            listed("a", 1, 10),
            listed("a", 11, 20),
            listed("a", 32, 40),
            listed("b", 1, 3),
            listed("b", 1, 4),
            listed("c", 2, 4),
        ];
        let taken = continuing(&all, &ends);
        let expected =
            [listed("a", 11, 20), listed("a", 21, 30), listed("b", 1, 4), listed("b", 5, 9)];
        assert_eq!(taken, expected);
        assert_eq!(missing(&[listed("a", 1, 10), listed("z", 1, 2)], &all), [listed("z", 1, 2)]);
        let longer = Listed { bytes: 2, ..listed("a", 1, 10) };
        assert_eq!(missing(std::slice::from_ref(&longer), &all), [longer]);
    }
}
