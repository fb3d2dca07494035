//! Which token speaks for a process, and what silence says if that token has ended.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    domain::{Credential, Principal, Role},
    service::{NewToken, Tokens, UnderWay, request::RequestMeta},
    store::memory::MemoryStore,
    telemetry::now_ms,
};

struct Holders {
    tokens: Arc<Tokens>,
    root: Principal,
}

impl Holders {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let tokens = Arc::new(Tokens::load(store, UnderWay::default()).await.expect("a store in memory"));
        let root = made(&tokens, "root", Role::Admin).await;
        Self { tokens, root }
    }

    async fn sdk(&self, name: &str) -> Credential {
        made(&self.tokens, name, Role::Sdk).await.credential().expect("it has one")
    }

    async fn revoke(&self, name: &str) {
        let revoked = self.tokens.revoke(name, &self.root, &RequestMeta::default(), now_ms()).await;
        revoked.expect("it is there");
    }

    async fn rotate(&self, name: &str) {
        let by = RequestMeta::default();
        let rotated = self.tokens.rotate(name, Duration::ZERO, None, &self.root, &by, now_ms()).await;
        rotated.expect("it is there");
    }
}

async fn made(tokens: &Arc<Tokens>, name: &str, role: Role) -> Principal {
    let new = NewToken { name: name.to_owned(), roles: vec![role], migrations: Vec::new(), expires_ms: None };
    let (text, _) = tokens.create(new, None, &RequestMeta::default(), now_ms()).await.expect("it is made");
    tokens.admit(Some(text.expose_secret()), now_ms()).expect("it is known")
}

fn of(asking: Asking, credential: &Credential) -> Asking {
    let record = InstanceRecord { credential: Some(credential.clone()), ..asking.record };
    Asking { record, ..asking }
}

fn without_file(asking: Asking) -> Asking {
    Asking { record: InstanceRecord { file_valid_ms: 0, ..asking.record }, ..asking }
}

fn lost(world: &World) -> Vec<String> {
    let all = Dead::Lost { instance_id: String::new(), older_than: Duration::ZERO, service: String::new() };
    world.live.dead(&all, world.now).into_iter().map(|dead| dead.who.instance_id).collect()
}

fn named(world: &World, name: &str, force: bool) -> usize {
    world.live.dead(&Dead::Named { name: name.to_owned(), force }, world.now).len()
}

#[tokio::test]
async fn a_silent_process_whose_token_has_ended_is_refused_and_not_lost() {
    let holders = Holders::new().await;
    let (shop, rotated, fine) =
        (holders.sdk("shop").await, holders.sdk("rotated").await, holders.sdk("fine").await);
    let mut world = World::new();
    world.live.tokens = Some(holders.tokens.clone());
    for (id, incarnation, credential) in [("a", 1, &shop), ("b", 2, &rotated), ("c", 3, &fine)] {
        world.register(of(asking(id, incarnation), credential));
    }
    world.register(asking("open", 4));
    holders.revoke("shop").await;
    holders.rotate("rotated").await;
    assert_eq!(named(&world, "a", false), 0, "it is heard");
    world.pass(LEASE + SECOND);
    assert_eq!(lost(&world), ["c"]);
    for id in ["a", "b", "open"] {
        assert_eq!((named(&world, id, false), named(&world, id, true)), (0, 1), "{id}");
    }
    assert_eq!(named(&world, "c", false), 1);
    let members = world.live.members(None, world.now);
    let refused: Vec<_> = members.iter().filter(|it| it.refused).map(|it| it.name.as_str()).collect();
    assert_eq!(refused, ["a", "b", "open"], "it registered before calls needed a token");
    // After a restart the store still says which token it was.
    world.restart();
    world.live.tokens = Some(holders.tokens.clone());
    world.pass(LEASE + SECOND);
    assert_eq!(lost(&world), ["c"]);
}

#[tokio::test]
async fn a_process_that_may_show_another_token_is_refused_and_not_lost() {
    let holders = Holders::new().await;
    let (shop, other) = (holders.sdk("shop").await, holders.sdk("other").await);
    let mut world = World::new();
    world.live.tokens = Some(holders.tokens.clone());
    let (one, ..) = world.register(of(asking("one", 1), &shop));
    assert!(world.live.checked(of(asking("one", 1), &other)).is_err());
    world.pass(LEASE + SECOND);
    assert_eq!((lost(&world), named(&world, "one", true)), (Vec::new(), 1));
    assert!(world.report(&one, 2), "it is heard with its own token");
    world.pass(LEASE + SECOND);
    assert_eq!(lost(&world), ["one"]);
}

#[tokio::test]
async fn another_process_with_the_id_replaces_only_one_that_its_token_speaks_for_and_that_is_not_refused() {
    let holders = Holders::new().await;
    let (shop, other) = (holders.sdk("shop").await, holders.sdk("other").await);
    for (second, ends, replaced) in
        [(&shop, false, 1), (&other, false, 0), (&shop, true, 0), (&other, true, 0)]
    {
        let mut world = World::new();
        world.fences = Fences::default();
        world.live.tokens = Some(holders.tokens.clone());
        // Its text may end, and its name stays.
        let (first, ..) = world.register(without_file(of(asking("api", 1), &shop)));
        world.disconnect(&first);
        let shown = match ends {
            false => second.clone(),
            true => Credential { hash: "a newer text".to_owned(), ..second.clone() },
        };
        if ends {
            let heard = world.live.members.get_mut(&first).expect("a member");
            heard.record.credential = Some(Credential { hash: "an ended text".to_owned(), ..shop.clone() });
        }
        let (next, ..) = world.register(without_file(of(asking("api", 2), &shown)));
        for _ in 0..20 {
            world.pass(SECOND);
            world.report(&next, 9);
        }
        assert_eq!(world.tick().1, replaced, "{} {ends}", second.token);
    }
}

#[tokio::test]
async fn only_its_own_token_registers_a_process_and_releases_predecessors() {
    let holders = Holders::new().await;
    let (shop, other) = (holders.sdk("shop").await, holders.sdk("other").await);
    let mut world = World::new();
    world.live.tokens = Some(holders.tokens.clone());
    let (one, ..) = world.register(of(asking("one", 1), &shop));
    let names =
        |who: &Who, by: &Credential| Asking { succeeds: vec![who.clone()], ..of(asking("two", 2), by) };
    let checked = |world: &mut World, asking| world.live.checked(asking).map(|asking| asking.succeeds.len());
    assert_eq!(checked(&mut world, names(&one, &shop)).ok(), Some(1));
    assert_eq!(checked(&mut world, names(&one, &other)).ok(), Some(0), "it is waited for");
    assert!(checked(&mut world, of(asking("one", 1), &other)).is_err());
    let newer = Credential { hash: "a newer text".to_owned(), ..shop.clone() };
    assert!(checked(&mut world, of(asking("one", 1), &newer)).is_ok(), "a rotated one");
    assert!(checked(&mut world, asking("one", 1)).is_ok(), "the controller has no tokens any more");
    holders.rotate("shop").await;
    assert!(checked(&mut world, of(asking("one", 1), &other)).is_err(), "its name is still there");
    holders.revoke("shop").await;
    assert!(checked(&mut world, of(asking("one", 1), &other)).is_ok());
    assert_eq!(checked(&mut world, names(&one, &other)).ok(), Some(1));
}
