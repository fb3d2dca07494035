//! Proxies and poolers between a store and its server, as far as its connections notice.

use super::server::Facts;

/// Why these can't all be to one server. Of the first connection, of the second one, of a transaction there, and of the
/// first one again.
pub(super) fn between(facts: [&Facts; 4]) -> Option<String> {
    let [said, also, within, again] = facts;
    let servers = facts.map(|facts| facts.get("server").cloned().unwrap_or_default());
    if let Some(other) = servers.iter().find(|other| **other != servers[0]) {
        return Some(format!(
            "a proxy or load balancer leads to two servers here ({} and {other}). Give the address of the primary \
             itself: reads have to see every acknowledged write",
            servers[0]
        ));
    }
    let moved = |one: &Facts, other: &Facts| one.get("backend") != other.get("backend");
    // Two that are open at once can't be one, unless they are so only as far as the next statement.
    let is_moved =
        moved(said, again) || moved(also, within) || said.contains_key("backend") && !moved(said, also);
    is_moved.then(|| {
        "a pooler gives each statement another connection, so that limits of a session do not hold. Give the address of \
         the server itself, or set the pooler to session mode"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(server: &str, backend: &str) -> Facts {
        [("server", server), ("backend", backend)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn connections_that_do_not_stay_with_one_server_are_noticed() {
        let split = |all: [(&str, &str); 4]| {
            let [a, b, c, d] = all.map(|(server, backend)| facts(server, backend));
            between([&a, &b, &c, &d]).unwrap_or_default()
        };
        assert_eq!(split([("a", "1"), ("a", "2"), ("a", "2"), ("a", "1")]), "");
        // A load balancer; a proxy that sends only transactions to the primary; one that changes its mind.
        for servers in [["a", "b", "b", "a"], ["a", "a", "b", "a"], ["a", "a", "a", "b"]] {
            let [one, two, three, four] = servers;
            let told = split([(one, "1"), (two, "2"), (three, "2"), (four, "1")]);
            assert!(told.contains("two servers here (a and b)"), "{servers:?}: {told:?}");
        }
        for backends in [["1", "2", "2", "3"], ["1", "2", "3", "1"], ["1", "1", "1", "1"]] {
            let told = split(backends.map(|backend| ("a", backend)));
            assert!(told.contains("session mode"), "{backends:?}: {told:?}");
        }
    }
}
