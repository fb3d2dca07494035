//! A check that can't fail is useless: here each one finds what it is for.

use super::{door_violation, file_violations, layer_violations, outside_violation, undeclared};

fn named(path: &str, text: &str) -> Vec<String> {
    layer_violations(&(path.to_owned(), text.to_owned()))
}

#[track_caller]
fn finds(path: &str, text: &str, what: &str) {
    assert_eq!(named(path, text), [format!("{path} names {what}")], "in {text:?}");
}

#[track_caller]
fn passes(path: &str, text: &str) {
    assert_eq!(named(path, text), [""; 0], "in {text:?}");
}

#[test]
fn upward_and_sideways_edges_are_found() {
    finds("src/store/memory.rs", "use crate::service::Steps;", "crate::service::Steps");
    finds("src/store/sqlite.rs", "use crate::service::Registry;", "crate::service::Registry");
    finds("src/grpc/admin.rs", "use crate::http;", "crate::http");
    finds("src/http.rs", "use crate::grpc::routing;", "crate::grpc::routing");
    finds("src/grpc/admin.rs", "use crate::store::Error;", "crate::store::Error");
    finds("src/cli/ramp.rs", "fn f() { crate::service::operate::go(); }", "crate::service::operate::go");
    finds("src/main.rs", "fn main() { cutover::server::run() }", "crate::server::run");
    finds("src/service.rs", "use crate::store::{Store, sqlite::Sqlite};", "crate::store::sqlite::Sqlite");
}

#[test]
fn an_edge_is_found_however_it_is_written() {
    finds("src/notify/sign.rs", "use super::super::store;", "crate::store");
    finds("src/notify/sign.rs", "mod tests { use super::super::super::store as s; }", "crate::store");
    finds("src/notify.rs", "use super::*;", "crate::*");
    finds("src/notify.rs", "pub(crate) use crate::{domain::Key, telemetry as t};", "crate::telemetry");
    finds("src/http.rs", "type A = crate :: store :: Error;", "crate::store::Error");
    let by_alias = "use crate::store as kept; type S = kept::sqlite::Sqlite;";
    finds("src/service/operate.rs", by_alias, "crate::store::sqlite::Sqlite");
}

#[test]
fn what_pure_code_must_not_touch_is_found() {
    let gate = "crates/domain/src/gate.rs";
    finds(gate, "use std::time::{Duration, SystemTime};", "std::time::SystemTime");
    finds(gate, "use std::time; fn f() { time::Instant::now(); }", "std::time::Instant::now");
    finds("src/notify.rs", "fn f() { ::tokio::spawn(g()); }", "tokio::spawn");
    finds("crates/core/src/routing/table.rs", "use crate::wire::parts;", "crate::wire::parts");
    finds("crates/core/src/routing.rs", "use std::time::Instant;", "std::time::Instant");
}

#[test]
fn a_new_layer_wants_a_place() {
    assert!(named("src/misc.rs", "")[0].contains("no known layer"));
}

#[test]
fn legal_edges_comments_and_literals_pass() {
    passes("crates/core/src/guard/local.rs", "use crate::routing::{self, Rung}; use super::Slot;");
    passes("src/notify/sign.rs", "mod tests { use super::*; } use super::Key;");
    passes(
        "crates/domain/src/gate.rs",
        "//! See crate::store::Store.\n/* tokio::time /* nested */ std::fs::read */",
    );
    passes(
        "crates/domain/src/gate.rs",
        r##"const A: &str = "crate::store \" x"; const B: &str = r#"tokio::"fs"#;"##,
    );
    passes(
        "crates/domain/src/gate.rs",
        "fn f<'a>(x: &'a str) -> impl Sized + use<'a> { ('\\'', '\"', x, '\\u{41}') }",
    );
    passes(
        "src/service/operate.rs",
        "use crate::{domain::Key, store::{self, Store}}; type E = store::Error;",
    );
    passes("src/server.rs", "use crate::{grpc, http, service, store::sqlite::Sqlite, telemetry};");
    passes("crates/core/src/wire.rs", "use cutover_proto::v1; use crate::routing::Snapshot;");
}

#[test]
fn a_second_door_is_found() {
    let found = |path: &str, text: &str| door_violation(&(path.to_owned(), text.to_owned())).is_some();
    assert!(found("src/grpc/admin.rs", "self.store.commit(&commit).await"));
    assert!(!found("src/service/operate.rs", "self.store.commit(&commit).await"));
    assert!(!found("src/demo.rs", "transaction.commit().await"));
}

#[test]
fn long_and_vaguely_named_files_are_found() {
    let found = |path: &str, lines: usize| file_violations(&(path.to_owned(), "x\n".repeat(lines))).len();
    assert_eq!(found("src/grpc.rs", 400), 0);
    assert_eq!(found("src/grpc.rs", 401), 1);
    for path in ["src/utils.rs", "src/grpc/mod.rs", "tests/it/helpers.rs", "src/types.rs"] {
        assert_eq!(found(path, 1), 1, "{path}");
    }
}

#[test]
fn a_file_that_nobody_declares_is_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file("tests/it/main.rs", "mod store; // mod lost;"),
        file("tests/it/store.rs", "#[cfg(unix)]\nmod suite;"),
        file("tests/it/store/suite.rs", ""),
        file("tests/it/lost.rs", ""),
    ];
    assert_eq!(undeclared(&files, &["tests/it/main.rs"]), ["tests/it/lost.rs is declared nowhere"]);
}

#[test]
fn a_pointer_outside_is_found() {
    let text = |text: &str| outside_violation(&("docs/a.md".to_owned(), text.to_owned()));
    assert!(text(&["see ..", "shared", "x.md"].join("/")).is_some());
    assert!(text("see ../docs/shared.md").is_none());
}
