//! The endpoints that `cutover serve` accepts, and its errors.

use std::fs;

use cutover::{
    config::{Config, Serve},
    notify::Shape,
};
use tempfile::TempDir;

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn refused(serve: Serve) -> String {
    let message = Config::load(serve).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn endpoints_come_from_flags_and_file_and_show_no_secret() {
    let dir = TempDir::new().unwrap();
    let (config, secret) = (dir.path().join("cutover.toml"), dir.path().join("secret"));
    fs::write(&config, "[webhook]\nops = \"https://old/\"\n[slack]\ndb = \"https://s.example/T0K3N\"\n")
        .unwrap();
    fs::write(&secret, "s3cret\n").unwrap();
    let serve = Serve {
        config: Some(config),
        webhook: list(&["ops=https://new.example/hook?a=b"]),
        webhook_secret_file: vec![format!("ops={}", secret.display())],
        ..Serve::default()
    };
    let loaded = Config::load(serve).unwrap();
    let [db, ops] = &loaded.endpoints[..] else { panic!("{loaded:?}") };
    assert_eq!((&*db.name, db.shape, db.secret.is_some()), ("db", Shape::Slack, false));
    assert_eq!((&*ops.name, ops.shape, ops.secret.is_some()), ("ops", Shape::Webhook, true));
    assert_eq!(ops.url, "https://new.example/hook?a=b", "the flag wins");
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("T0K3N"), "{shown}");
}

#[test]
fn a_mistake_is_told_in_one_line_without_the_url() {
    let webhook = |texts: &[&str]| refused(Serve { webhook: list(texts), ..Serve::default() });
    assert!(webhook(&["https://x/T0K3N"]).starts_with("--webhook takes NAME=URL"));
    assert!(webhook(&["Ops!=https://x"]).contains("\"Ops!\" is no name"));
    for url in ["ops=", "ops=T0K3N", "ops=ftp://x/T0K3N", "ops=/T0K3N", "ops=https://"] {
        let message = webhook(&[url]);
        assert!(
            message.contains("--webhook ops: not an absolute URL") && !message.contains("T0K3N"),
            "{message}"
        );
    }
    assert!(webhook(&["ops=https://me:T0K3N@x/"]).starts_with("--webhook ops: a user in the URL"));
    assert!(webhook(&["ops=https://x", "ops=https://y"]).starts_with("ops is named twice"));
    let slack = list(&["ops=https://y"]);
    let both = Serve { webhook: list(&["ops=https://x"]), slack: slack.clone(), ..Serve::default() };
    assert!(refused(both).starts_with("ops is named twice"));

    let secret = |file: String, slack: &[String]| {
        let webhook = if slack.is_empty() { list(&["ops=https://x"]) } else { Vec::new() };
        let webhook_secret_file = vec![file];
        refused(Serve { webhook, webhook_secret_file, slack: slack.to_vec(), ..Serve::default() })
    };
    let dir = TempDir::new().unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    assert!(secret("other=/x".to_owned(), &[]).contains("there is no such webhook"));
    assert!(secret("ops=/x".to_owned(), &slack).contains("there is no such webhook"), "Slack signs nothing");
    assert!(secret("ops=/no/such/file".to_owned(), &[]).contains("can't read /no/such/file"));
    assert!(secret(format!("ops={}", empty.display()), &[]).contains("is empty"));
}
