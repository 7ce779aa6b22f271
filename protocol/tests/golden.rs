//! Every wire and stored type has a golden file that must go on reading, and writing it again gives
//! the same JSON. A file, once here, is never edited: it is what older parts and books hold.

#![cfg(test)]

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use protocol::chat::{ClientFrame, ServerFrame};
use protocol::edge::{Append, Head, LastWords, Page};
use protocol::egress::{EgressNotes, EgressReport, FetchRequest};
use protocol::object::{
    Accepted, CallGrant, CallRequest, CallSettled, Envelope, Restored, UsageReport,
};
use protocol::runtime::{Health, Steer};
use protocol::turn::{TurnEvent, TurnRequest};
use protocol::workspace::{ListedFile, Maintenance, WorkspaceEvent, WorkspaceOpening};
use protocol::{Problem, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads each line of a golden file as `T` and compares what is written back.
fn check<T: DeserializeOwned + Serialize + Debug>(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.trim().is_empty(), "{name} is empty");
    for line in text.lines() {
        let value: T = serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}: {e}: {line}"));
        let again = serde_json::to_value(&value).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(line).unwrap(), "{name}");
    }
}

#[test]
fn every_golden_line_reads_and_writes_back() {
    check::<Record>("record.jsonl");
    check::<Record>("record_files.jsonl");
    check::<Record>("record_instead.jsonl");
    check::<Record>("record_image.jsonl");
    check::<TurnRequest>("turn_request_fallbacks.jsonl");
    check::<TurnRequest>("turn_request_responses.jsonl");
    check::<TurnEvent>("turn_event_retrying.jsonl");
    check::<Problem>("problem_cap.jsonl");
    check::<TurnEvent>("turn_event_saving.jsonl");
    check::<TurnEvent>("turn_event_timing.jsonl");
    check::<ServerFrame>("server_frame_saving.jsonl");
    check::<ServerFrame>("server_frame_retrying.jsonl");
    check::<ServerFrame>("server_frame_notice.jsonl");
    check::<ServerFrame>("server_frame_answer.jsonl");
    check::<ClientFrame>("client_frame_received.jsonl");
    check::<TurnRequest>("turn_request.jsonl");
    check::<TurnEvent>("turn_event.jsonl");
    check::<Append>("append.jsonl");
    check::<Head>("head.jsonl");
    check::<Page>("page.jsonl");
    check::<Health>("health.jsonl");
    check::<Problem>("problem.jsonl");
    check::<ClientFrame>("client_frame.jsonl");
    check::<ServerFrame>("server_frame.jsonl");
    check::<Envelope>("envelope.jsonl");
    check::<CallRequest>("call_request.jsonl");
    check::<CallGrant>("call_grant.jsonl");
    check::<UsageReport>("usage_report.jsonl");
    check::<CallSettled>("call_settled.jsonl");
    check::<Accepted>("accepted.jsonl");
    check::<Restored>("restored.jsonl");
    check::<Steer>("steer.jsonl");
    check::<LastWords>("last_words.jsonl");
    check::<ListedFile>("listed_file.jsonl");
    check::<WorkspaceOpening>("workspace_opening.jsonl");
    check::<WorkspaceEvent>("workspace_event.jsonl");
    check::<Maintenance>("maintenance.jsonl");
    check::<FetchRequest>("fetch_request.jsonl");
    check::<EgressReport>("egress_report.jsonl");
    check::<EgressNotes>("egress_notes.jsonl");
}

#[test]
fn every_golden_file_is_checked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let here = include_str!("golden.rs");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(here.contains(&format!("\"{name}\"")), "{name} is checked by no test");
    }
}

#[test]
fn fields_that_a_later_version_may_add_are_ignored() {
    let health = r#"{"protocol":1,"version":"0.1.0","epoch":3,"uptime_ms":9,"later":true}"#;
    assert!(serde_json::from_str::<Health>(health).is_ok());
}
