//! The addresses of several controllers: which one leads, which are on standby, and whether they share a store.

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
    for Probed { address, state, .. } in &probed {
        match state {
            AddressState::Leads => report.ok(format!("{address} leads")),
            AddressState::Standby => report.ok(format!("{address} is on standby")),
            AddressState::Failed(why) => report.warn(
                format!("{address} does not answer: {why}"),
                "Start that controller, or remove its address from --server, CUTOVER_SERVER and the services",
            ),
        }
    }
    let leaders: Vec<&str> = named(&probed, |it| it.state == AddressState::Leads);
    match leaders[..] {
        [] => {
            report.fail("no address leads", "If this lasts longer than 5 s, look into the controllers' logs")
        }
        [_] => {}
        ref many => report.fail(
            format!("{} say that they lead: {}", many.len(), many.join(", ")),
            "Only one controller over a store leads, so these are different installations: name one of them",
        ),
    }
    histories(&probed, report);
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
