//! A wrong command line: one line that names what is wrong, what was meant and where to read more.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use super::run;

#[tokio::test]
async fn a_wrong_verb_or_flag_is_named_with_what_was_meant() {
    for (line, parts) in [
        ("crate orders", &["\"crate\"", "create?", "see cutover help"][..]),
        ("zzz", &["no verb \"zzz\"", "see cutover help"]),
        ("help zzz", &["no verb \"zzz\""]),
        ("help rmp", &["no verb \"rmp\"", "did you mean ramp?"]),
        ("quarantine orders.toml", &["quarantine does not know", "cutover quarantine list orders.toml"]),
        ("plan aply orders", &["did you mean cutover plan apply?", "see cutover help plan"]),
        ("guards orders --set mismatch --rate 5", &["--rate", "give 5% if you mean percent"]),
        ("--server http://127.0.0.1:1", &["no verb was given", "see cutover help"]),
        ("--jsn list", &["\"--jsn\"", "did you mean --json?"]),
        ("ramp orders --daul 10", &["ramp has no flag \"--daul\"", "--dual?", "see cutover help ramp"]),
        ("ramp orders --source-only 9", &["source-only has no share of its own", "--dual 0"]),
        (
            "backfill a.toml --records-per-s 5",
            &["records_per_s under [limits]", "cutover tune JOB --records-per-s N"],
        ),
        ("list orders", &["list takes no more arguments", "\"orders\"", "see cutover help list"]),
        ("list --json=1", &["--json takes no value"]),
        ("verify orders.toml --sample 0%", &["more than 0"]),
        ("verify orders.toml --sample 1,5%", &["is no percentage"]),
        ("decide orders -5", &["\"-5\"", "goes after --"]),
        ("ramp", &["ramp also needs <KEY>", "see cutover help ramp"]),
        ("create orders", &["--source <SOURCE> --target <TARGET>", "see cutover help create"]),
        ("evict one", &["--reason <REASON>"]),
        ("ramp orders --dual", &["--dual <PCT> needs a value"]),
        ("ramp orders --dual 1 --dual 2", &["--dual <PCT> was given twice"]),
        ("finish orders", &["--confirm <KEY>"]),
    ] {
        run(line.split_whitespace()).await.misused(parts);
    }
    let other = run(["ramp", "orders", "--stage", "dual"]).await;
    assert!(!other.err.contains("did you mean"), "the flag of a stage would do something else: {other:?}");
}

#[tokio::test]
async fn a_wrong_value_is_named_with_what_is_right() {
    for (line, parts) in [
        ("ramp orders --dual 101", &["--dual", "\"101\"", "over 100 %", "0 to 100"][..]),
        ("ramp orders --dual 100.0001", &["over 100 %"]),
        ("ramp orders --mirrored -1", &["--mirrored", "\"-1\"", "0 to 100"]),
        ("ramp orders --target-first 12.34567", &["--target-first", "more than 4 decimals"]),
        ("ramp orders --target-only ten", &["--target-only", "\"ten\"", "0 to 100"]),
        ("pin orders acme target-frist", &["\"target-frist\"", "source-only, dual, mirrored, target-first"]),
        ("pin orders acme hold", &["\"hold\"", "source-only, dual"]),
        ("create o --source a --target b --level best", &["\"best\"", "acknowledged, linearizable"]),
        ("create o --source a --target b --soak 3parsecs", &["--soak", "\"3parsecs\""]),
        ("history --limit many", &["--limit", "\"many\""]),
        ("show o --expected-revision -1", &["--expected-revision"]),
    ] {
        run(line.split_whitespace()).await.misused(parts);
    }
    run(["ramp", "orders", "--dual", "1\n2\u{1b}[31m"]).await.misused(&["\\n2"]);
    let bytes = OsString::from_vec(vec![b'a', 0xff]);
    run(["decide".into(), "orders".into(), bytes]).await.misused(&["not valid UTF-8"]);
}

#[tokio::test]
async fn help_and_version_are_no_errors() {
    let help = run([""; 0]).await.done();
    for verb in ["serve", "create", "ramp", "rollback", "status", "evict", "help"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{help}");
    }
    assert!(run(["ramp", "--help"]).await.done().contains("--target-first <PCT>"));
    assert!(run(["help", "ramp"]).await.done().contains("--target-first <PCT>"));
    assert_eq!(run(["--version"]).await.done(), format!("cutover {}\n", env!("CARGO_PKG_VERSION")));
}
