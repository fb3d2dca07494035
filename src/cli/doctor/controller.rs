//! The controller: whether it answers, its clock, its certificate, and the caller's token.

use std::time::{Duration, Instant};

use cutover_clock::now_ms;
use cutover_core::text::span;
use cutover_proto::v1;
use tonic::Code;

use super::{Global, Report, SOON_MS};
use crate::cli::{
    connect::{answer, failure},
    token,
};

/// A clock is not compared more finely than a call takes.
const CLOCK_MS: u64 = 1_000;
/// How long the controller may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tokens of others that are listed.
const TOKENS_MAX: usize = 10;

pub(super) async fn check(global: &Global, report: &mut Report) {
    report.begin(format!("controller {}", global.server));
    let mut admin = match global.admin().await {
        Ok(admin) => admin,
        Err(error) => return report.fail_with(&error),
    };
    let begun = Instant::now();
    let asked = tokio::time::timeout(PATIENCE, admin.get_controller(v1::GetControllerRequest {})).await;
    let now_ms = now_ms();
    let took_ms = begun.elapsed().as_millis() as u64;
    let controller = match asked {
        Err(_) => {
            let message = format!("no answer in {} s", PATIENCE.as_secs());
            return report.fail(message, "Check --server, and whether a controller runs there");
        }
        Ok(Err(status))
            if status.code() == Code::Unimplemented && std::error::Error::source(&status).is_none() =>
        {
            let message = "it does not know this question: it is older than this command, or no controller";
            return report.fail(message, "Upgrade it, or check --server");
        }
        Ok(Err(status)) => return report.fail_with(&failure(&status)),
        Ok(Ok(answered)) => answered.into_inner(),
    };
    state(&controller, report);
    clock(controller.at_ms, now_ms, took_ms, report);
    if controller.certificate_expires_ms > 0 {
        let action =
            "Replace the files of --tls-cert and --tls-key; the controller reads them again by itself";
        report.ends("its certificate", controller.certificate_expires_ms, controller.at_ms, action);
    }
    credentials(global, &controller, report).await;
}

fn state(controller: &v1::Controller, report: &mut Report) {
    let (theirs, ours) = (&controller.version, env!("CARGO_PKG_VERSION"));
    match theirs == ours {
        true => report.ok(format!("it answers, version {theirs}, migrations: {}", controller.migrations)),
        false => report.warn(
            format!("it is version {theirs}, this command {ours}"),
            "Use the same version of both: upgrade the controller first",
        ),
    }
    match controller.store_fault.as_str() {
        "" => report.ok("its store answers"),
        fault => report.fail(
            format!("its store does not answer: {fault}"),
            "Services keep the routes that they have. Check its disk",
        ),
    }
    if controller.restored > 0 {
        report.fail(
            format!(
                "its store was restored, and nobody has confirmed that. Migrations on hold: {}",
                controller.restored
            ),
            "cutover list shows them; then cutover confirm KEY",
        );
    }
}

/// `took_ms`: how long the call took; the controller read its clock meanwhile.
fn clock(theirs_ms: u64, ours_ms: u64, took_ms: u64, report: &mut Report) {
    let (first_ms, last_ms) = (ours_ms.saturating_sub(took_ms), ours_ms);
    let off = |by_ms: u64, which: &str| {
        let message = format!("its clock is {} {which} this machine's", span(by_ms / 1000 * 1000));
        let action = "Set both by NTP: tokens, certificates, change windows and the history go by the clock";
        (message, action)
    };
    let (ahead_ms, behind_ms) = (theirs_ms.saturating_sub(last_ms), first_ms.saturating_sub(theirs_ms));
    let (message, action) = match (ahead_ms, behind_ms) {
        (CLOCK_MS.., _) => off(ahead_ms, "ahead of"),
        (_, CLOCK_MS..) => off(behind_ms, "behind"),
        _ => return report.ok("its clock agrees with this machine's to a second"),
    };
    report.warn(message, action);
}

async fn credentials(global: &Global, controller: &v1::Controller, report: &mut Report) {
    if controller.caller.is_empty() {
        return report.ok("it needs no token: whoever reaches it may do everything");
    }
    let roles = token::role_names(&controller.roles).join(", ");
    match (controller.caller.strip_prefix("token:"), controller.caller_ends_ms) {
        (Some(name), 0) => report.ok(format!("this token, {name} ({roles}), does not expire")),
        (Some(name), ends_ms) => {
            let (mine, action) = (
                format!("this token, {name} ({roles}),"),
                format!("cutover token rotate {name} --expires 90d"),
            );
            report.ends(&mine, ends_ms, controller.at_ms, &action);
        }
        // A login lasts minutes or hours, so its end needs no warning.
        (None, ends_ms) => {
            let (login, left) = (&controller.caller, span(ends_ms.saturating_sub(controller.at_ms)));
            report.ok(format!("this login, {login} ({roles}), ends in {left}"));
        }
    }
    if controller.roles.contains(&v1::Role::Admin.into()) {
        others(global, controller, report).await;
    }
}

/// Other tokens that end soon, which only an admin sees.
async fn others(global: &Global, controller: &v1::Controller, report: &mut Report) {
    let listed = match global.tokens().await {
        Ok(mut tokens) => answer(tokens.list_tokens(v1::ListTokensRequest {})).await,
        Err(error) => Err(error),
    };
    let v1::ListTokensResponse { tokens, at_ms } = match listed {
        Ok(listed) => listed,
        Err(error) => return report.fail_with(&error),
    };
    let ending = |token: &&v1::Token| {
        controller.caller.strip_prefix("token:") != Some(token.name.as_str())
            && token.expires_ms > 0
            && token.expires_ms < at_ms.saturating_add(SOON_MS)
    };
    let ending: Vec<&v1::Token> = tokens.iter().filter(ending).collect();
    for token in ending.iter().take(TOKENS_MAX) {
        let (name, ends_ms) = (&token.name, token.expires_ms);
        let message = match ends_ms.checked_sub(at_ms) {
            None | Some(0) => format!("token {name} expired {} ago", span(at_ms - ends_ms)),
            Some(left) => format!("token {name} expires in {}", span(left)),
        };
        let action = format!("cutover token rotate {name} --expires 90d, or cutover token revoke {name}");
        report.warn(message, action);
    }
    if ending.len() > TOKENS_MAX {
        report.warn(format!("{} more tokens expire soon", ending.len() - TOKENS_MAX), "cutover token list");
    }
}
