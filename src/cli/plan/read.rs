//! A plan from a file, or everything that is wrong with it.

use cutover_core::routing::Rung;

use super::{
    super::{duration, percent},
    file::{self, Node, Value},
};
use crate::domain::{
    Tenant, Violation,
    plan::{
        ChangeWindow, ChangeWindows, EVERY_DAY, GOES_DOWN, OnTrip, Part, Plan, Proof, Rules, Step, WhenBlind,
    },
};

const RUNGS: [Rung; 4] = [Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];
const PLAN: [&str; 5] = ["time_zone", "windows", "on_trip", "when_blind", "steps"];
const STEP: [&str; 6] = ["stage", "percent", "tenants", "bake", "evidence", "approval"];
const WINDOW: [&str; 3] = ["days", "from", "to"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The plan of a file's text, or its mistakes by line. `name` says whether it is TOML or YAML, if it has an extension.
pub fn plan(name: &str, text: &str) -> Result<Plan, Vec<String>> {
    let is_yaml = file::is_yaml(name, text);
    let root = file::parse(text, is_yaml).map_err(|mistake| vec![mistake])?;
    let mut mistakes = Vec::new();
    let mut reader = Reader { mistakes: &mut mistakes, is_yaml };
    let fields = reader.fields(&root, "the file", &PLAN);
    let time_zone = fields.get("time_zone").and_then(|node| reader.text(node, "time_zone", "UTC"));
    let open = fields.list("windows").filter_map(|node| reader.window(node)).collect();
    let on_trip = reader.one_of(&fields, "on_trip", &[("stop", OnTrip::Stop), ("end", OnTrip::End)]);
    let blind = [("wait", WhenBlind::Wait), ("pause", WhenBlind::Pause)];
    let when_blind = reader.one_of(&fields, "when_blind", &blind);
    let windows = ChangeWindows { time_zone: time_zone.unwrap_or_default(), open };
    let rules = Rules { windows, on_trip, when_blind };
    let read: Vec<(usize, Vec<Step>)> =
        fields.list("steps").map(|node| (node.line, reader.steps(node))).collect();
    let first_step = read.iter().map(|(line, _)| *line).min().unwrap_or(usize::MAX);
    let lines: Vec<usize> = read.iter().flat_map(|(line, steps)| steps.iter().map(|_| *line)).collect();
    let steps = read.into_iter().flat_map(|(_, steps)| steps).collect();
    let windows: Vec<usize> = fields.list("windows").map(|node| node.line).collect();
    let zone = fields.get("time_zone").map_or(1, |node| node.line);
    // What steps mean together is known up to the first that can't be read.
    let unread = mistakes.iter().map(|(line, _)| *line).filter(|line| *line >= first_step).min();
    let told = |Violation { field, message }: Violation| {
        let at = field.split_once('[').and_then(|(_, at)| at.trim_end_matches(']').parse::<usize>().ok());
        let lines = if field.starts_with("steps[") { &lines } else { &windows };
        let line = at.and_then(|at| lines.get(at - 1).copied());
        let line = line.or_else(|| (field == "time_zone").then_some(zone));
        // Whatever the unread step is, a share that falls below an earlier one falls.
        let is_known = |unread| {
            !field.starts_with("steps")
                || line.is_some_and(|line| line < unread)
                || message.contains(GOES_DOWN)
        };
        if !unread.is_none_or(is_known) {
            return None;
        }
        Some(match line {
            Some(line) if field.starts_with("steps[") => (line, format!("line {line}: {message}")),
            Some(line) => (line, format!("line {line}: {field}: {message}")),
            None => (0, format!("{field}: {message}")),
        })
    };
    match Plan::of(steps, rules) {
        Ok(plan) if mistakes.is_empty() => return Ok(plan),
        Ok(_) => {}
        Err(wrong) => mistakes.extend(wrong.into_iter().filter_map(told)),
    }
    mistakes.sort_by_key(|(line, _)| *line);
    Err(mistakes.into_iter().map(|(_, mistake)| mistake).collect())
}

/// The fields of one table.
struct Fields<'a>(Vec<(&'a str, &'a Node)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        self.0.iter().find(|(has, _)| *has == name).map(|(_, node)| *node)
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &'a Node> + use<'a> {
        self.get(name).map(Node::elements).unwrap_or_default().iter()
    }
}

/// Notes what is wrong, and goes on.
struct Reader<'m> {
    /// With their lines.
    mistakes: &'m mut Vec<(usize, String)>,
    is_yaml: bool,
}

impl Reader<'_> {
    fn wrong(&mut self, node: &Node, what: impl AsRef<str>) {
        self.mistakes.push((node.line, format!("line {}: {}", node.line, what.as_ref())));
    }

    fn fields<'a>(&mut self, node: &'a Node, what: &str, known: &[&str]) -> Fields<'a> {
        let Value::Table(entries) = &node.value else {
            self.wrong(node, format!("{what} must be a table of {}", known.join(", ")));
            return Fields(Vec::new());
        };
        for (name, node) in entries.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let meant = alike(name, known).unwrap_or_else(|| format!("there are {}", known.join(", ")));
            self.wrong(node, format!("there is no field {name:?}, {meant}"));
        }
        Fields(entries.iter().map(|(name, node)| (name.as_str(), node)).collect())
    }

    fn text(&mut self, node: &Node, name: &str, like: &str) -> Option<String> {
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            self.wrong(node, format!("{name} must be a text: give one like {like:?}"));
        }
        text
    }

    /// One of a few words, the first by default.
    fn one_of<T: Copy + Default>(&mut self, fields: &Fields<'_>, name: &str, known: &[(&str, T)]) -> T {
        let Some(node) = fields.get(name) else { return T::default() };
        let word = node.text().unwrap_or_default();
        if let Some((_, value)) = known.iter().find(|(known, _)| *known == word) {
            return *value;
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let meant = alike(word, &names).unwrap_or_else(|| format!("give {}", names.join(" or ")));
        self.wrong(node, format!("{name}: unknown {word:?}: {meant}"));
        T::default()
    }

    /// One step for each percentage, or one of tenants.
    fn steps(&mut self, node: &Node) -> Vec<Step> {
        let before = self.mistakes.len();
        let fields = self.fields(node, "a step", &STEP);
        let rung = self.rung(node, &fields);
        let parts = self.parts(node, &fields);
        let bake_ms = fields.get("bake").map_or(0, |bake| self.bake_ms(bake));
        let evidence = self.one_of(&fields, "evidence", &[("guards", Proof::Guards), ("none", Proof::None)]);
        let approval = fields.get("approval").is_some_and(|node| {
            node.is_true().unwrap_or_else(|| {
                self.wrong(node, "approval: give true or false");
                false
            })
        });
        let Some(rung) = rung.filter(|_| self.mistakes.len() == before) else { return Vec::new() };
        parts.into_iter().map(|part| Step { rung, part, bake_ms, evidence, approval }).collect()
    }

    fn rung(&mut self, step: &Node, fields: &Fields<'_>) -> Option<Rung> {
        let names = RUNGS.map(Rung::name);
        let Some(node) = fields.get("stage") else {
            self.wrong(step, format!("stage is missing: give one of {}", names.join(", ")));
            return None;
        };
        let stage = node.text().unwrap_or_default();
        let rung = RUNGS.into_iter().find(|rung| rung.name() == stage);
        if rung.is_none() {
            let meant = alike(stage, &names).unwrap_or_else(|| format!("give one of {}", names.join(", ")));
            self.wrong(node, format!("unknown stage {stage:?}: {meant}"));
        }
        rung
    }

    fn parts(&mut self, step: &Node, fields: &Fields<'_>) -> Vec<Part> {
        let mut parts = Vec::new();
        match (fields.get("percent"), fields.get("tenants")) {
            (Some(percents), None) => {
                for node in percents.elements() {
                    let text = node.text().unwrap_or_default();
                    match percent::ppm(text.strip_suffix(".0").unwrap_or(text)) {
                        Ok(ppm) => parts.push(Part::Share(ppm)),
                        Err(why) => self.wrong(node, format!("percent: {why}")),
                    }
                }
            }
            (None, Some(tenants)) => {
                let mut named = Vec::new();
                for node in tenants.elements() {
                    let tenant = node.name(self.is_yaml);
                    match tenant.and_then(|name| Tenant::parse(name).map_err(|why| why.message)) {
                        Ok(tenant) => named.push(tenant),
                        Err(why) => self.wrong(node, format!("tenants: {why}")),
                    }
                }
                parts.push(Part::Tenants(named));
            }
            (Some(_), Some(tenants)) => self.wrong(tenants, "tenants beside percent: give one of them"),
            (None, None) => self.wrong(step, "percent is missing: give one, or a list; or tenants"),
        }
        if parts.is_empty() && fields.get("percent").is_some_and(|node| node.elements().is_empty()) {
            self.wrong(step, "percent is empty: give one, or a list");
        }
        parts
    }

    fn bake_ms(&mut self, node: &Node) -> u64 {
        match node.text().map(duration::parse) {
            Some(Ok(bake)) => u64::try_from(bake.as_millis()).unwrap_or(u64::MAX),
            Some(Err(why)) => {
                self.wrong(node, format!("bake: {why}"));
                0
            }
            None => {
                self.wrong(node, "bake: give a duration like 10m");
                0
            }
        }
    }

    fn window(&mut self, node: &Node) -> Option<ChangeWindow> {
        let before = self.mistakes.len();
        let fields = self.fields(node, "a window", &WINDOW);
        let days = match fields.get("days") {
            None => EVERY_DAY,
            Some(days) => days.elements().iter().fold(0, |all, days| all | self.days(days)),
        };
        let from_min = fields.get("from").map_or(0, |at| self.minutes(at));
        let upto_min = fields.get("to").map_or(24 * 60, |at| self.minutes(at));
        (self.mistakes.len() == before).then_some(ChangeWindow { days, from_min, upto_min })
    }

    /// A day, or a range of them that may reach into the next week.
    fn days(&mut self, node: &Node) -> u8 {
        let text = node.text().unwrap_or_default();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let day = |name: &str| DAYS.iter().position(|day| *day == name.trim());
        let (Some(first), Some(last)) = (day(first), day(last)) else {
            self.wrong(
                node,
                format!("days: unknown day {text:?}: give mon, tue, .. sun, or a range like mon-fri"),
            );
            return 0;
        };
        let count = (last + 7 - first) % 7;
        (0..=count).fold(0, |all, at| all | 1 << ((first + at) % 7))
    }

    fn minutes(&mut self, node: &Node) -> u16 {
        let text = node.text().unwrap_or_default();
        let minutes = || {
            let (hours, minutes) = text.split_once(':')?;
            // A time of TOML may have seconds; a window has none.
            let minutes = minutes.strip_suffix(":00").unwrap_or(minutes);
            let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
            let all = hours.checked_mul(60)?.checked_add(minutes)?;
            (minutes < 60 && all <= 24 * 60).then_some(all)
        };
        minutes().unwrap_or_else(|| {
            self.wrong(node, format!("{text:?} is not a time of day: give one like \"09:00\""));
            0
        })
    }
}

fn alike(word: &str, known: &[&str]) -> Option<String> {
    let near = known.iter().map(|name| (strsim::jaro_winkler(word, name), name));
    let best = near.filter(|(near, _)| *near > 0.75).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, name)| format!("did you mean {name}?"))
}
