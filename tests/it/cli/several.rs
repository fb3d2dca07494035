//! Several addresses of the controller: mistakes in the list, and controllers of different installations.

use std::time::Duration;

use cutover_client::{Client, ConnectError, Options};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{at, run};
use crate::support::server::Controller;

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_list_are_named() {
    for (list, what) in [
        ("http://127.0.0.1:1,", "there is a comma without an address"),
        ("http://127.0.0.1:1,127.0.0.1:2", "\"127.0.0.1:2\": it has no scheme"),
        ("http://127.0.0.1:1,http://127.0.0.1:1/", "it is there twice"),
        ("http://127.0.0.1:1;http://127.0.0.1:2", "it has something behind the port"),
    ] {
        let said = run(["list", "--server", list]).await;
        assert_eq!(said.code, 64, "{said:?}");
        assert!(said.err.contains(what) && said.err.contains("https://"), "{said:?}");
        let refused = Client::connect(list, "orders-api", Options::default()).await.map(drop);
        assert!(
            matches!(&refused, Err(ConnectError::Server { what: said, .. }) if said.contains(what)),
            "{refused:?}"
        );
    }
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("orders.toml");
    let store = |name: &str| format!("[{name}]\nurl = \"sqlite:{name}.db\"\ntable = \"orders\"\n");
    let server = "server = \"http://127.0.0.1:1,\"\n";
    std::fs::write(&path, format!("migration = \"orders\"\n{server}{}{}", store("source"), store("target")))
        .unwrap();
    let said = run(["backfill", path.to_str().unwrap()]).await;
    assert!(said.code != 0 && said.err.contains("there is a comma without an address"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_of_two_installations_are_refused_in_words() {
    let (ours_in, theirs_in) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (ours, theirs) =
        (Controller::start(ours_in.path(), 0).await, Controller::start(theirs_in.path(), 0).await);
    let both = format!("{},{}", ours.url, theirs.url);
    let words = "belong to two installations";
    at(&both, "list").await.unreachable(&[words, &ours.url, &theirs.url]);
    let said = at(&both, "doctor").await;
    assert_eq!(said.code, 1, "{said:?}");
    for part in ["2 say that they lead", "their stores have different histories"] {
        assert!(said.out.contains(part), "{said:?}");
    }
    let options = Options { start_timeout: Duration::from_secs(1), ..Options::default() };
    let refused = Client::connect(&both, "orders-api", options).await.map(drop);
    assert!(
        matches!(&refused, Err(ConnectError::NoSnapshot { last_error, .. }) if last_error.contains(words)),
        "{refused:?}"
    );

    // Only one is there when a process starts.
    at(&ours.url, "create orders --source old --target new").await.done();
    let port = theirs.port();
    theirs.stop().await;
    let client = Client::connect(&both, "orders-api", Options::default()).await.unwrap();
    let theirs = Controller::start(theirs_in.path(), port).await;
    at(&theirs.url, "create orders --source old --target new").await.done();
    at(&theirs.url, "create other --source old --target new").await.done();
    let (port, revision) = (ours.port(), client.status().revision);
    ours.stop().await;
    let refused = async {
        while !client.status().last_error.is_some_and(|error| error.contains("another installation")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(15), refused).await.expect("it says why it does not go there");
    client.decide("orders", "acme").expect("it keeps its routes");
    client.decide("other", "acme").expect_err("it has nothing of the other installation's");
    assert_eq!(client.status().revision, revision);

    let ours = Controller::start(ours_in.path(), port).await;
    let pinned = at(&ours.url, "pin orders acme dual --wait").await;
    assert_eq!(pinned.code, 0, "{pinned:?}");
    let back = async {
        while client.status().revision <= revision {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), back).await.expect("it goes back to its own");
    client.decide("other", "acme").expect_err("it is at its own");
    assert!(client.close().await);
    ours.stop().await;
    theirs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_controller_under_two_names_is_one() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let both = format!("{},http://localhost:{}", controller.url, controller.port());
    at(&both, "list").await.done();
    let said = at(&both, "doctor").await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("the controller that leads is reached at 2 addresses"), "{said:?}");
    assert!(!said.out.contains("Start that controller"), "localhost may be ::1 as well: {said:?}");
    controller.stop().await;
}
