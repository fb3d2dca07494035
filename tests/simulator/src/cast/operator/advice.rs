//! What a status or a refusal tells people to do: the command in it, as a person reads it.

use cutover_proto::v1::PassKind;

/// What somebody is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Evict one lost process. `None`: every one that is lost.
    Evict(Option<String>),
    /// Run a pass.
    Pass(PassKind),
    /// Make the target what the source has.
    Repair,
    /// End a pass that nobody works on.
    Cancel(String),
    /// Let a paused migration, or its plan, continue.
    Resume,
    /// Acknowledge a rollback.
    Acknowledge,
    /// Turn the local guard off.
    LocalGuardOff,
    /// Confirm a restored store.
    Confirm,
    /// Require no services.
    RequireNone,
    /// Take everybody below target-only.
    LeaveTargetOnly,
    /// Take everybody below target-first.
    LeaveTargetFirst,
    /// Look again after so many seconds.
    Wait(u64),
}

impl Advice {
    /// The first command of an action. `None`: nobody could follow it.
    pub fn of(action: &str) -> Option<Self> {
        // Whoever has time waits.
        if action.starts_with("wait at most") || action.starts_with("nothing to do") {
            return Some(Self::Wait(5));
        }
        let Some((_, command)) = action.split_once("cutover ") else {
            let (_, span) = action.split_once("again in ")?;
            return span.split_once(" s").and_then(|(seconds, _)| seconds.parse().ok()).map(Self::Wait);
        };
        let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
        Some(match words[..] {
            ["evict", "--lost", ..] => Self::Evict(None),
            ["evict", name, "--lost", ..] => Self::Evict(Some(name.to_owned())),
            ["backfill", ..] => Self::Pass(PassKind::Full),
            ["verify", _, "--repair", "--source-wins", ..] => Self::Repair,
            ["verify", ..] => Self::Pass(PassKind::Verify),
            ["reverse", ..] => Self::Pass(PassKind::Reverse),
            ["cancel", id, ..] => Self::Cancel(id.to_owned()),
            ["resume", ..] => Self::Resume,
            ["ack", ..] => Self::Acknowledge,
            ["guards", _, "--local", "off"] => Self::LocalGuardOff,
            ["confirm", ..] => Self::Confirm,
            ["policy", .., "--no-required-services"] => Self::RequireNone,
            ["ramp", _, "--target-only", "0", ..] => Self::LeaveTargetOnly,
            ["ramp", _, "--target-first", "0", ..] => Self::LeaveTargetFirst,
            ["status", ..] => Self::Wait(2),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_read_as_a_person_reads_it() {
        let evict = "bring back api-1, or, once its process has certainly ended: cutover evict api-1 --lost --reason ..";
        assert_eq!(Advice::of(evict), Some(Advice::Evict(Some("api-1".to_owned()))));
        let all = "once their processes have certainly ended: cutover evict --lost --reason ..";
        assert_eq!(Advice::of(all), Some(Advice::Evict(None)));
        let fixed = "correct what can't be read or written, with the store's own tools, then run: cutover verify SPEC";
        assert_eq!(Advice::of(fixed), Some(Advice::Pass(PassKind::Verify)));
        let repair = "overwrite the target (cutover verify SPEC --repair --source-wins --reason ..), then run: \
                      cutover backfill SPEC";
        assert_eq!(Advice::of(repair), Some(Advice::Repair));
        let down = "cutover ramp orders --target-first 0 --wait, or unpin them; then repair";
        assert_eq!(Advice::of(down), Some(Advice::LeaveTargetFirst));
        let reverse = "cutover reverse SPEC copies them back; the controller then takes these tenants down";
        assert_eq!(Advice::of(reverse), Some(Advice::Pass(PassKind::Reverse)));
        assert_eq!(Advice::of("nothing to do: waited for at most 2 s more"), Some(Advice::Wait(5)));
        assert_eq!(Advice::of("run it again in 12 s"), Some(Advice::Wait(12)));
        assert_eq!(Advice::of("confirm again in 3 s"), Some(Advice::Wait(3)));
        assert_eq!(Advice::of("cutover status orders -w shows who is behind"), Some(Advice::Wait(2)));
        let cancel = Advice::Cancel("orders/7".to_owned());
        assert_eq!(Advice::of("let it end, or cutover cancel orders/7"), Some(cancel));
        let services = "start it with the SDK, or require other services: cutover policy orders --required-service .., \
                        or --no-required-services";
        assert_eq!(Advice::of(services), Some(Advice::RequireNone));
        assert_eq!(Advice::of("cutover guards orders --local off"), Some(Advice::LocalGuardOff));
    }

    #[test]
    fn what_nobody_could_follow_is_no_advice() {
        for action in ["", "wait", "give any a valid token (cutover token list)", "cutover"] {
            assert_eq!(Advice::of(action), None, "{action}");
        }
    }
}
