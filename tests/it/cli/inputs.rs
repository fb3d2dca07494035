//! Files as people, spreadsheets and databases write them: what is in them is taken as it is, or refused.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Said, at, run_with};
use crate::support::server::Controller;

async fn lint(text: &str) -> Said {
    run_with(["plan", "lint", "-"], text).await
}

/// The steps that a plan's file comes to.
async fn steps(text: &str) -> Vec<Value> {
    run_with(["plan", "lint", "-", "--json"], text).await.objects()
}

/// The tenants that a plan's file comes to.
async fn tenants(text: &str) -> Vec<String> {
    let steps = steps(text).await;
    let tenants = steps[0]["tenants"].as_array().unwrap();
    tenants.iter().map(|tenant| tenant.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_yaml_tenant_is_the_text_as_it_is_written() {
    let names = [
        "007",
        "+4366012345",
        "0x1F",
        "0o17",
        "1e3",
        "1.10",
        "12345678901234567890",
        "no",
        "true",
        ".5",
        ".inf",
        "2024-01-01",
        "1_000",
        "acme",
    ];
    let list = format!("steps:\n- stage: dual\n  tenants: [{}]\n", names.join(", "));
    assert_eq!(tenants(&list).await, names);
    let lines: String = names.iter().map(|name| format!("  - {name}\n")).collect();
    assert_eq!(tenants(&format!("steps:\n- stage: dual\n  tenants:\n{lines}")).await, names);
    for one in ["007", "no", "1.10"] {
        assert_eq!(tenants(&format!("steps:\n- stage: dual\n  tenants: {one}\n")).await, [one]);
    }
    let quoted = "steps:\n- stage: dual\n  tenants: ['~', \"null\", !!str 007]\n";
    assert_eq!(tenants(quoted).await, ["~", "null", "007"]);
    for nothing in ["~", "null", ""] {
        let text = format!("steps:\n- stage: dual\n  tenants:\n  - acme\n  - {nothing}\n");
        lint(&text).await.refused(&["line 5: tenants: quote it"]);
    }
    lint("steps:\n- stage: dual\n  tenants: [[a]]\n").await.refused(&["tenants: give text"]);
}

#[tokio::test]
async fn a_toml_tenant_that_is_not_text_is_refused_but_for_plain_digits() {
    let toml = |tenants: &str| format!("[[steps]]\nstage = 'dual'\ntenants = [{tenants}]\n");
    assert_eq!(tenants(&toml("17, '007', 12345")).await, ["17", "007", "12345"]);
    for number in ["1_000", "0x1F", "1e3", "1.10", "+4366012345", "true", "2024-01-01", "inf"] {
        lint(&toml(number)).await.refused(&["line 3: tenants: quote it", number]);
    }
}

#[tokio::test]
async fn a_duration_in_a_plan_is_no_month_by_mistake() {
    let bake = |text: &str| format!("steps:\n- stage: dual\n  percent: 1\n  bake: {text}\n");
    for (text, ms) in [("10m", 600_000), ("20", 20_000), ("20s", 20_000), ("\"1h 30m\"", 5_400_000)] {
        assert_eq!(steps(&bake(text)).await[0]["bake_ms"], json!(ms), "{text}");
    }
    for text in ["10M", "1 month", "2y", "[10m]"] {
        lint(&bake(text)).await.refused(&["line 4: bake: "]);
    }
    lint(&bake("10M")).await.refused(&["give minutes as 10m"]);
    lint("[[steps]]\nstage = 'dual'\npercent = 1\nbake = '10M'\n").await.refused(&["give minutes as 10m"]);
}

#[tokio::test]
async fn a_key_given_twice_and_a_byte_order_mark_in_a_plan() {
    let text = "steps:\n- stage: dual\n  percent: 1\n  percent: 2\n";
    lint(text).await.refused(&["line 4"]);
    assert_eq!(tenants("\u{feff}steps:\r\n- stage: dual\r\n  tenants: [acme]\r\n").await, ["acme"]);
    assert_eq!(tenants("\u{feff}[[steps]]\r\nstage = 'dual'\r\ntenants = ['acme']\r\n").await, ["acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_come_from_csv_as_programs_write_it() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let import = async |text: &str| run_with(["--server", url, "import-pins", "orders", "-"], text).await;
    let csv = "\u{feff}tenant,stage\r\n\"acme\",dual\r\n\"a,b\",\"source-only\"\r\n\r\n\"say \"\"hi\"\"\",dual\r\n007, dual";
    let stray = csv.replace("\"say \"\"hi\"\"\"", "say \"hi\"");
    import(&stray).await.refused(&["has 1 mistake", "line 5", "stray quote"]);
    assert!(import(csv).await.done().starts_with("imported 4 pins"));
    assert_eq!(
        at(url, "pins orders").await.done(),
        "TENANT    PINNED TO    NOW AT\n007       dual         dual\na,b       source-only  source-only\nacme      dual         dual\nsay \"hi\"  dual         dual\n"
    );
    import("Tenant,Rung\n").await.refused(&["has no pins"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pins_can_not_be_read_is_listed_by_line_and_nothing_is_imported() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let import = async |text: &str| run_with(["--server", url, "import-pins", "orders", "-"], text).await;
    let all = "acme,dual\na,b,dual\n\nzeta\n acme2,dual\nacme,mirrored\nbeta,duel\n,dual\n";
    let told = import(all).await;
    assert_eq!(told.err.lines().count(), 7, "{told:?}");
    told.refused(&[
        "nothing was imported: - has 6 mistakes",
        "line 2: \"a,b,dual\" is not TENANT,STAGE; quote a tenant that has a comma",
        "line 4: \"zeta\" is not TENANT,STAGE",
        "line 5: tenant \" acme2\" has a blank",
        "line 6: tenant \"acme\" is on line 1 already",
        "line 7: ",
        "duel",
        "line 8: ",
    ]);
    import("acme;dual\n").await.refused(&["line 1", "TENANT,STAGE"]);
    import("acme,dual\ntenant,stage\n").await.refused(&["line 2", "\"stage\""]);
    import("").await.refused(&["- has no pins: nothing was imported"]);
    import("\"customer-9,dual\n").await.refused(&["a quote is not closed"]);
    import(&"x\n".repeat(30)).await.refused(&["30 mistakes", "and 10 more"]);
    assert!(at(url, "pins orders --json").await.objects().is_empty(), "nothing was imported");
    controller.stop().await;
}
