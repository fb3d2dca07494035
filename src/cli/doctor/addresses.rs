//! The addresses of several controllers: which one leads, which are on standby, and whether they share a store.

use std::collections::BTreeSet;

use cutover_client::{AddressState, Probed};

use super::{Global, Report};

pub(super) async fn check(global: &Global, report: &mut Report) {
    // An address that can't be used is a finding about the controller.
    let Ok(address) = global.address() else { return };
    let probed = address.probe().await;
    if probed.len() < 2 {
        return;
    }
    report.begin("addresses of the controller");
    for Probed { given, address, state, .. } in &probed {
        let answers_elsewhere = || probed.iter().any(|it| it.given == *given && !is_silent(it));
        match state {
            AddressState::Leads => report.ok(format!("{address} leads")),
            AddressState::Standby => report.ok(format!("{address} is on standby")),
            AddressState::Failed(_) if answers_elsewhere() => {
                report.ok(format!("{address} does not answer; another IP address of that name does"));
            }
            AddressState::Failed(why) => report.warn(
                format!("{address} does not answer: {why}"),
                "Start that controller, or remove its address from --server, CUTOVER_SERVER and the services",
            ),
        }
    }
    leaders(&probed, report);
    histories(&probed, report);
}

fn is_silent(probed: &Probed) -> bool {
    matches!(probed.state, AddressState::Failed(_))
}

fn leaders(probed: &[Probed], report: &mut Report) {
    let leads = |it: &Probed| it.state == AddressState::Leads;
    let leaders = named(probed, leads);
    let histories: BTreeSet<Option<&str>> =
        probed.iter().filter(|it| leads(it)).map(|it| it.history.as_deref()).collect();
    let is_one = histories.len() == 1 && !histories.contains(&None);
    match leaders[..] {
        [] => {
            report.fail("no address leads", "If this lasts longer than 5 s, look into the controllers' logs")
        }
        [_] => {}
        ref many if is_one => {
            report.ok(format!("the controller that leads is reached at {} addresses", many.len()));
        }
        ref many => report.fail(
            format!("{} say that they lead: {}", many.len(), many.join(", ")),
            "Only one controller over a store leads, so these are different installations: name one of them",
        ),
    }
}

fn histories(probed: &[Probed], report: &mut Report) {
    let mut histories: Vec<&str> = probed.iter().filter_map(|it| it.history.as_deref()).collect();
    histories.sort_unstable();
    histories.dedup();
    match histories[..] {
        [] => {}
        [_] => report.ok("all that answer share a store"),
        ref many => {
            let of = |history: &&str| {
                let at = named(probed, |it| it.history.as_deref() == Some(*history));
                format!("{} has {history}", at.join(", "))
            };
            let which: Vec<String> = many.iter().map(of).collect();
            report.fail(
                format!("their stores have different histories: {}", which.join("; ")),
                "They are different installations: clients refuse such a list. Name the controllers of one",
            );
        }
    }
}

fn named(probed: &[Probed], is: impl Fn(&Probed) -> bool) -> Vec<&str> {
    probed.iter().filter(|it| is(it)).map(|it| it.address.as_str()).collect()
}
