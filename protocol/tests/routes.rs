//! Each internal surface's routes: what one end writes, the other end reads; anything else is no
//! route.

#![cfg(test)]

use proptest::prelude::*;
use protocol::edge::EdgeRoute;
use protocol::object::{Access, ObjectRoute};
use protocol::runtime::RuntimeRoute;
use protocol::workspace::{FileAction, FileKind, WorkspaceRoute};

fn split(path: &str) -> (&str, &str) {
    path.split_once('?').unwrap_or((path, ""))
}

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.:-]{1,40}"
}

fn workspace_route() -> impl Strategy<Value = WorkspaceRoute> {
    use FileAction::{Delete, Get, Head, Post};
    let action = || prop::sample::select(vec![Head, Get, Post, Delete]);
    let kind = || prop::sample::select(FileKind::ALL.to_vec());
    prop_oneof![
        Just(WorkspaceRoute::Create),
        action().prop_map(WorkspaceRoute::Config),
        kind().prop_map(WorkspaceRoute::List),
        (action(), kind(), "[0-9a-f]{64}").prop_map(|(action, kind, name)| WorkspaceRoute::File(
            action,
            kind,
            name.parse().unwrap()
        )),
    ]
}

fn edge_route() -> impl Strategy<Value = EdgeRoute> {
    prop_oneof![
        id().prop_map(|s| EdgeRoute::SessionHead { session: s.parse().unwrap() }),
        (id(), any::<u32>()).prop_map(|(s, from)| EdgeRoute::SessionRead {
            session: s.parse().unwrap(),
            from: from.into(),
        }),
        id().prop_map(|s| EdgeRoute::SessionAppend { session: s.parse().unwrap() }),
        ("[a-z]{1,8}", "(/[a-z0-9]{1,8}){1,3}")
            .prop_map(|(provider, path)| EdgeRoute::Model { provider, path }),
        workspace_route().prop_map(EdgeRoute::Workspace),
        Just(EdgeRoute::Report),
        Just(EdgeRoute::Fetch),
        Just(EdgeRoute::Egress),
    ]
}

fn runtime_route() -> impl Strategy<Value = RuntimeRoute> {
    prop_oneof![
        Just(RuntimeRoute::Health),
        Just(RuntimeRoute::Turns),
        Just(RuntimeRoute::Workspace),
        Just(RuntimeRoute::Maintenance),
        Just(RuntimeRoute::Drain),
        id().prop_map(|t| RuntimeRoute::Steer { turn: t.parse().unwrap() }),
        (id(), any::<u32>()).prop_map(|(t, from)| RuntimeRoute::Events {
            turn: t.parse().unwrap(),
            from: from.into(),
        }),
        id().prop_map(|t| RuntimeRoute::Cancel { turn: t.parse().unwrap() }),
    ]
}

fn object_route() -> impl Strategy<Value = ObjectRoute> {
    prop_oneof![
        Just(ObjectRoute::ChatSocket),
        Just(ObjectRoute::ModelGrant),
        Just(ObjectRoute::ModelSettle),
        Just(ObjectRoute::Usage),
        prop::sample::select(vec![Access::Read, Access::Add, Access::Delete])
            .prop_map(ObjectRoute::WorkspaceGrant),
        Just(ObjectRoute::OwnerGrant),
        "[0-9a-f]{64}".prop_map(|name| ObjectRoute::SnapshotStored { name: name.parse().unwrap() }),
        Just(ObjectRoute::WorkspacePassword),
        Just(ObjectRoute::Report),
        Just(ObjectRoute::Egress),
        Just(ObjectRoute::Accept),
        proptest::option::of(id())
            .prop_map(|s| ObjectRoute::Export { session: s.map(|s| s.parse().unwrap()) }),
        Just(ObjectRoute::ControlExport),
        Just(ObjectRoute::ControlRestore),
        Just(ObjectRoute::Faults),
    ]
}

proptest! {
    #[test]
    fn object_routes_read_back(route in object_route()) {
        let path = route.path();
        let parsed = ObjectRoute::parse(route.method().as_str(), &path, "");
        prop_assert_eq!(parsed, Some(route));
    }

    #[test]
    fn edge_routes_read_back(route in edge_route()) {
        let path = route.path();
        let (path, query) = split(&path);
        prop_assert_eq!(EdgeRoute::parse(route.method().as_str(), path, query), Some(route.clone()));
        if matches!(
            route,
            EdgeRoute::SessionHead { .. } | EdgeRoute::SessionRead { .. } | EdgeRoute::SessionAppend { .. }
        ) {
            let object = ObjectRoute::Session(route);
            let parsed = ObjectRoute::parse(object.method().as_str(), path, query);
            prop_assert_eq!(parsed, Some(object));
        }
    }

    #[test]
    fn runtime_routes_read_back(route in runtime_route()) {
        let path = route.path();
        let (path, query) = split(&path);
        prop_assert_eq!(RuntimeRoute::parse(path, query), Some(route));
    }

    #[test]
    fn no_text_makes_a_parser_fall(method in "GET|POST|PUT", path in "\\PC{0,60}", query in "\\PC{0,30}") {
        EdgeRoute::parse(&method, &path, &query);
        ObjectRoute::parse(&method, &path, &query);
        RuntimeRoute::parse(&path, &query);
    }
}

#[test]
fn what_is_no_route_is_none() {
    for path in
        ["", "/", "/session", "/session/", "/session/a/b", "/session/a%2f", "/model/x", "/model//y"]
    {
        assert_eq!(EdgeRoute::parse("GET", path, ""), None, "{path}");
    }
    assert_eq!(EdgeRoute::parse("DELETE", "/session/web", ""), None);
    let upper = format!("/workspace/data/{}", "A".repeat(64));
    for path in ["/workspace", "/workspace/", "/workspace/data", "/workspace/data/x", &upper] {
        assert_eq!(EdgeRoute::parse("GET", path, ""), None, "{path}");
    }
    assert_eq!(EdgeRoute::parse("GET", "/session/web/records", "from=x"), None);
    assert_eq!(ObjectRoute::parse("POST", "/model/anthropic/v1/messages", ""), None);
}
