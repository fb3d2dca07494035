//! How instances are doing, those in trouble first.

use std::collections::BTreeSet;

use console::style;
use cutover_proto::v1;

/// What to call an instance: `cutover evict` takes it.
pub fn name(instance: &v1::Instance) -> &str {
    // An earlier controller does not send names.
    if instance.name.is_empty() { &instance.instance_id } else { &instance.name }
}

/// How an instance is doing, in a word or two.
pub fn standing(instance: &v1::Instance) -> String {
    let left = |word: &str| match instance.waited_for_ms.div_ceil(1000) {
        0 => word.to_owned(),
        left_s => format!("{word}, waited for {left_s} s more"),
    };
    match instance {
        v1::Instance { counted_out: true, .. } => "counted out".to_owned(),
        v1::Instance { parked: true, .. } => left("gone, left a snapshot file"),
        v1::Instance { refused: true, .. } => left("REFUSED for its token"),
        v1::Instance { lost: true, .. } => left("LOST"),
        v1::Instance { duplicate: true, .. } => "DUPLICATE ID".to_owned(),
        v1::Instance { settled: true, .. } => "settled".to_owned(),
        _ => "behind".to_owned(),
    }
}

/// Services named in one line.
const SERVICES_MAX: usize = 3;

/// How many there are and how many are lost, whether the newest step has settled, and whether services without an SDK
/// ask.
pub fn registered(status: &v1::Status) -> String {
    let v1::Status { instances, settled, callers, .. } = status;
    let lost = instances.iter().filter(|instance| rank(instance) == 0).count();
    let services: BTreeSet<&str> = instances.iter().map(|instance| instance.service.as_str()).collect();
    let services = services.into_iter().take(SERVICES_MAX).collect::<Vec<_>>().join(", ");
    let services = if services.is_empty() { String::new() } else { format!(" ({services})") };
    let told = match lost {
        0 => acknowledged(instances, &services, *settled),
        // A step that settled before they were lost stays settled.
        _ if *settled => {
            format!("{}{services}, {lost} LOST; the newest step has settled", count(instances))
        }
        _ => format!("{}, {lost} LOST", acknowledged(instances, &services, *settled)),
    };
    let callers = match callers {
        Some(callers) if callers.settled => "; callers without an SDK ask, too",
        _ => "",
    };
    format!("{told}{callers}")
}

fn count(instances: &[v1::Instance]) -> String {
    match instances.len() {
        1 => "1 instance".to_owned(),
        many => format!("{many} instances"),
    }
}

/// `services`: theirs, to stand behind their number.
fn acknowledged(instances: &[v1::Instance], services: &str, settled: bool) -> String {
    // Those who have yet to acknowledge are no instances.
    let are_settled = !settled && instances.iter().all(|instance| instance.settled || instance.counted_out);
    match (instances.len(), settled) {
        (1.., false) if are_settled => {
            let instances = acknowledged(instances, services, true);
            format!("{instances}; cached answers of Decide or OpenFeature have not expired")
        }
        (0, true) => "no instance is registered".to_owned(),
        (0, false) => {
            "no instance is registered; cached answers of Decide or OpenFeature have not expired".to_owned()
        }
        (1, true) => format!("1 instance{services}, settled"),
        (1, false) => format!("1 instance{services}, not settled"),
        (_, true) => format!("{}{services}, all settled", count(instances)),
        (_, false) => format!("{}{services}, not all settled", count(instances)),
    }
}

/// Lost ones first, then those that are behind, then the others by name.
pub fn worst_first(instances: &[v1::Instance]) -> Vec<&v1::Instance> {
    let mut sorted: Vec<&v1::Instance> = instances.iter().collect();
    sorted.sort_by_key(|instance| (rank(instance), name(instance)));
    sorted
}

const fn rank(instance: &v1::Instance) -> u8 {
    match instance {
        v1::Instance { counted_out: true, .. } => 4,
        v1::Instance { lost: true, parked: false, .. } => 0,
        v1::Instance { duplicate: true, .. } => 1,
        v1::Instance { parked: true, .. } => 3,
        v1::Instance { settled: false, .. } => 2,
        _ => 5,
    }
}

/// The instances on at most `room` lines of `width` columns, and how many more there are.
pub fn lines(key: &str, instances: &[v1::Instance], room: usize, width: usize) -> Vec<String> {
    let sorted = worst_first(instances);
    let shown = if sorted.len() <= room { sorted.len() } else { room.saturating_sub(1) };
    let mut lines: Vec<String> = sorted.iter().take(shown).map(|instance| line(instance, width)).collect();
    if sorted.len() > shown {
        let more = &sorted[shown..];
        let bad = more.iter().filter(|instance| rank(instance) < 3).count();
        let bad = if bad > 0 { format!(", {bad} of them lost or behind") } else { String::new() };
        let more = format!("  {} more{bad}: cutover instances {key}", more.len());
        lines.push(console::truncate_str(&more, width, "…").into_owned());
    }
    lines.truncate(room);
    lines
}

fn line(instance: &v1::Instance, width: usize) -> String {
    // Never cut: somebody may have to evict it.
    let (id, id_width) = (name(instance), if width < 60 { 16 } else { 28 });
    let (received, applied) = (instance.received_revision, instance.applied_revision);
    let heard = crate::gist::short(instance.silent_ms);
    let how = standing(instance);
    let line = format!("  {id:<id_width$} {how:<12} received r{received}, quiesced r{applied}, {heard} ago");
    let line = console::truncate_str(&line, width, "…").into_owned();
    match rank(instance) {
        0 | 1 => style(line).red().to_string(),
        2 => style(line).yellow().to_string(),
        3 | 4 => style(line).dim().to_string(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lost_and_the_lagging_come_first_and_the_rest_is_counted() {
        let instance = |id: usize, lost, settled| v1::Instance {
            instance_id: format!("i{id:02}"),
            lost,
            settled,
            ..Default::default()
        };
        let mut all: Vec<v1::Instance> = (0..30).map(|id| instance(id, false, true)).collect();
        (all[20].settled, all[29].lost) = (false, true);
        let lines = lines("orders", &all, 10, 80);
        assert_eq!(lines.len(), 10);
        assert!(lines[0].contains("i29") && lines[0].contains("LOST"), "{lines:#?}");
        assert!(lines[1].contains("i20") && lines[1].contains("behind"), "{lines:#?}");
        assert_eq!(lines[9], "  21 more: cutover instances orders");
        assert_eq!(super::lines("orders", &all[..3], 10, 80).len(), 3);
        assert!(super::lines("orders", &all, 1, 80)[0].contains("30 more, 2 of them lost or behind"));
    }
}
