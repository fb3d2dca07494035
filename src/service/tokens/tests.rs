//! Stories of tokens over a store in memory.

use secrecy::{ExposeSecret as _, SecretString};

use super::{change::PREFIX, *};
use crate::{
    service::request::RequestMeta,
    store::memory::{Call, Fault, MemoryStore},
};

const NOW: u64 = 1_700_000_000_000;

fn by() -> RequestMeta {
    RequestMeta { actor: "token:root".to_owned(), ..RequestMeta::default() }
}

fn new(name: &str, role: Role) -> NewToken {
    NewToken { name: name.to_owned(), roles: vec![role], migrations: Vec::new(), expires_ms: None }
}

async fn tokens(store: &MemoryStore) -> Arc<Tokens> {
    let loaded = Tokens::load(Arc::new(store.clone()), UnderWay::default()).await;
    Arc::new(loaded.expect("a store in memory"))
}

/// Made in the store, as while no controller runs.
async fn make(tokens: &Arc<Tokens>, new: NewToken) -> SecretString {
    tokens.create(new, None, &by(), NOW).await.expect("it is made").0
}

fn holder(tokens: &Tokens, text: &SecretString) -> Principal {
    tokens.admit(Some(text.expose_secret()), NOW).expect("it is known")
}

fn denied(tokens: &Tokens, text: &SecretString, now_ms: u64) -> Option<Denied> {
    tokens.admit(Some(text.expose_secret()), now_ms).err()
}

#[tokio::test]
async fn from_the_first_token_on_every_call_needs_one() {
    let store = MemoryStore::default();
    let tokens = tokens(&store).await;
    assert_eq!(tokens.admit(None, NOW), Ok(Principal::anybody()));
    let open = tokens.admit(None, NOW).expect("it is open");
    let root = make(&tokens, new("root", Role::Admin)).await;
    assert_eq!(tokens.admit(None, NOW).err(), Some(Denied::Missing));
    assert_eq!(tokens.admit(Some("cutover_00"), NOW).err(), Some(Denied::Unknown));
    let admitted = tokens.admit(Some(root.expose_secret()), NOW).expect("it is known");
    assert_eq!(admitted.name(), Some("root"));
    assert!(!tokens.accepts(&open, NOW), "who was let in before is let in no more");
    tokens.until_refused(open, || NOW).await;
}

#[tokio::test]
async fn the_first_one_is_an_admins_made_in_the_store_and_no_call_makes_it() {
    let tokens = tokens(&MemoryStore::default()).await;
    let viewer = tokens.create(new("ada", Role::Viewer), None, &by(), NOW).await;
    assert!(matches!(viewer, Err(TokenError::FirstIsNoAdmin)), "{viewer:?}");
    let expires = NewToken { expires_ms: Some(NOW + 1), ..new("root", Role::Admin) };
    assert!(matches!(tokens.create(expires, None, &by(), NOW).await, Err(TokenError::FirstIsNoAdmin)));
    let anybody = tokens.admit(None, NOW).expect("it is open");
    let call = tokens.create(new("root", Role::Admin), Some(&anybody), &by(), NOW).await;
    assert!(matches!(call, Err(TokenError::FirstFromAfar)), "{call:?}");
    assert!(tokens.is_open() && tokens.list().is_empty());
    let root = make(&tokens, new("root", Role::Admin)).await;
    let late = tokens.create(new("eve", Role::Admin), Some(&anybody), &by(), NOW).await;
    assert!(matches!(late, Err(TokenError::CallerEnded)), "let in before the first token: {late:?}");
    let root = holder(&tokens, &root);
    assert!(tokens.create(new("ada", Role::Viewer), Some(&root), &by(), NOW).await.is_ok());
}

#[tokio::test]
async fn whose_token_ended_on_the_way_changes_none_whatever_was_asked_for() {
    let tokens = tokens(&MemoryStore::default()).await;
    let root = make(&tokens, new("root", Role::Admin)).await;
    for (end, is_rotated) in [("revoked", false), ("rotated", true)] {
        let other = holder(&tokens, &make(&tokens, new("other", Role::Admin)).await);
        let root = holder(&tokens, &root);
        if is_rotated {
            tokens.rotate("other", Duration::ZERO, None, &root, &by(), NOW).await.expect("it is rotated");
        } else {
            tokens.revoke("other", &root, &by(), NOW).await.expect("it is revoked");
        }
        let created = tokens.create(new("eve", Role::Admin), Some(&other), &by(), NOW).await;
        assert!(matches!(created, Err(TokenError::CallerEnded)), "{end}: {created:?}");
        let rotated = tokens.rotate("root", Duration::ZERO, None, &other, &by(), NOW).await;
        assert!(matches!(rotated, Err(TokenError::CallerEnded)), "{end}: {rotated:?}");
        let revoked = tokens.revoke("root", &other, &by(), NOW).await;
        assert!(matches!(revoked, Err(TokenError::CallerEnded)), "{end}: {revoked:?}");
        _ = tokens.revoke("other", &root, &by(), NOW).await;
    }
    let expires = NewToken { expires_ms: Some(NOW + 1_000), ..new("brief", Role::Admin) };
    let brief = holder(&tokens, &make(&tokens, expires).await);
    let late = tokens.create(new("eve", Role::Admin), Some(&brief), &by(), NOW + 1_000).await;
    assert!(matches!(late, Err(TokenError::CallerEnded)), "expired: {late:?}");
}

#[tokio::test]
async fn one_admin_without_an_end_stays_whatever_is_done() {
    let tokens = tokens(&MemoryStore::default()).await;
    let text = make(&tokens, new("root", Role::Admin)).await;
    let root = holder(&tokens, &text);
    make(&tokens, NewToken { expires_ms: Some(NOW + 9_000), ..new("brief", Role::Admin) }).await;
    let revoked = tokens.revoke("root", &root, &by(), NOW).await;
    assert!(matches!(revoked, Err(TokenError::LastAdmin(_))), "{revoked:?}");
    let limited = tokens.rotate("root", Duration::ZERO, Some(NOW + 9_000), &root, &by(), NOW).await;
    assert!(matches!(limited, Err(TokenError::LastAdmin(_))), "{limited:?}");
    assert_eq!(denied(&tokens, &text, NOW), None);
    make(&tokens, new("second", Role::Admin)).await;
    assert!(tokens.rotate("root", Duration::ZERO, Some(NOW + 9_000), &root, &by(), NOW).await.is_ok());
}

#[tokio::test]
async fn what_a_change_may_have_ended_is_refused_although_the_store_cant_be_read() {
    for outcome in [None, Some(Fault::After)] {
        let store = MemoryStore::default();
        let tokens = tokens(&store).await;
        let root_text = make(&tokens, new("root", Role::Admin)).await;
        let (root, ada) = (holder(&tokens, &root_text), make(&tokens, new("ada", Role::Operator)).await);
        if let Some(fault) = outcome {
            store.fail_next(Call::Keep, fault);
        }
        store.fail_next(Call::Tokens, Fault::Before);
        let revoked = tokens.revoke("ada", &root, &by(), NOW).await;
        assert_eq!(revoked.is_ok(), outcome.is_none(), "{revoked:?}");
        assert_eq!(denied(&tokens, &ada, NOW), Some(Denied::Unknown), "{outcome:?}");
        assert_eq!(denied(&tokens, &root_text, NOW), None);
        // The next change reads what is stored first.
        let again = tokens.revoke("ada", &root, &by(), NOW).await;
        assert!(matches!(again, Err(TokenError::Unknown(_))), "{again:?}");
    }
    // Not even the only token opens the controller.
    let store = MemoryStore::default();
    let tokens = tokens(&store).await;
    let root_text = make(&tokens, new("root", Role::Admin)).await;
    let root = holder(&tokens, &root_text);
    store.fail_next(Call::Keep, Fault::After);
    store.fail_next(Call::Tokens, Fault::Before);
    let rotated = tokens.rotate("root", Duration::ZERO, None, &root, &by(), NOW).await;
    assert!(rotated.is_err(), "{rotated:?}");
    assert_eq!((tokens.is_open(), tokens.admit(None, NOW)), (false, Err(Denied::Missing)));
}

#[tokio::test]
async fn a_token_has_256_bits_and_only_its_hash_is_stored() {
    let store = MemoryStore::default();
    let tokens = tokens(&store).await;
    let (one, two) =
        (make(&tokens, new("root", Role::Admin)).await, make(&tokens, new("b", Role::Admin)).await);
    for text in [&one, &two] {
        let hex = text.expose_secret().strip_prefix(PREFIX).expect("it has the prefix");
        assert_eq!(hex.len(), 64);
    }
    assert_ne!(one.expose_secret(), two.expose_secret());
    assert!(!format!("{one:?}").contains(PREFIX), "{one:?}");
    let (stored, events) = (store_text(&store).await, format!("{tokens:?}"));
    for text in [&one, &two] {
        let hex = &text.expose_secret()[PREFIX.len()..];
        assert!(!stored.contains(hex) && !events.contains(hex));
    }
}

async fn store_text(store: &MemoryStore) -> String {
    use crate::store::TokenStore as _;
    let (records, events) = (store.tokens().await, store.token_events(u64::MAX, 100).await);
    format!("{records:?} {events:?}")
}

#[tokio::test]
async fn a_rotated_one_is_accepted_until_its_time_is_up() {
    let tokens = tokens(&MemoryStore::default()).await;
    let old = make(&tokens, new("root", Role::Admin)).await;
    let hour = Duration::from_secs(3_600);
    let (new, _) =
        tokens.rotate("root", hour, None, &holder(&tokens, &old), &by(), NOW).await.expect("it is rotated");
    assert_eq!((denied(&tokens, &old, NOW), denied(&tokens, &new, NOW)), (None, None));
    assert_eq!(denied(&tokens, &old, NOW + 3_600_000), Some(Denied::Unknown));
    let (newest, _) = tokens
        .rotate("root", Duration::ZERO, None, &holder(&tokens, &new), &by(), NOW)
        .await
        .expect("and again");
    assert_eq!(denied(&tokens, &new, NOW), Some(Denied::Unknown), "at once");
    assert_eq!(denied(&tokens, &newest, NOW), None);
}

#[tokio::test(start_paused = true)]
async fn an_expired_one_is_refused_by_name_and_its_streams_end() {
    let tokens = tokens(&MemoryStore::default()).await;
    let root = make(&tokens, new("root", Role::Admin)).await;
    let root = holder(&tokens, &root);
    let ada = NewToken { expires_ms: Some(NOW + 90_000), ..new("ada", Role::Viewer) };
    let ada = make(&tokens, ada).await;
    let admitted = tokens.admit(Some(ada.expose_secret()), NOW).expect("not yet");
    let began = tokio::time::Instant::now();
    tokens.until_refused(admitted, || NOW + began.elapsed().as_millis() as u64).await;
    assert_eq!(began.elapsed().as_secs(), 90);
    let error = denied(&tokens, &ada, NOW + 150_000).expect("it has expired").to_string();
    assert!(error.starts_with("token ada expired 60 s ago"), "{error}");
    let again = tokens.rotate("ada", Duration::ZERO, None, &root, &by(), NOW + 150_000).await;
    assert!(matches!(again, Err(TokenError::Expired(_))), "{again:?}");
    let later = tokens.rotate("ada", Duration::ZERO, Some(NOW + 200_000), &root, &by(), NOW + 150_000).await;
    assert!(later.is_ok(), "{later:?}");
}

#[tokio::test]
async fn a_revoked_one_is_refused_at_once_and_the_last_admin_stays() {
    let store = MemoryStore::default();
    let tokens = tokens(&store).await;
    let root = make(&tokens, new("root", Role::Admin)).await;
    let ada = make(&tokens, new("ada", Role::Operator)).await;
    let admitted = tokens.admit(Some(ada.expose_secret()), NOW).expect("it is known");
    let by_root = holder(&tokens, &root);
    tokens.revoke("ada", &by_root, &by(), NOW).await.expect("it is revoked");
    tokens.until_refused(admitted, || NOW).await;
    assert_eq!(denied(&tokens, &ada, NOW), Some(Denied::Unknown));
    let last = tokens.revoke("root", &by_root, &by(), NOW).await;
    assert!(matches!(last, Err(TokenError::LastAdmin(_))), "{last:?}");
    assert_eq!(denied(&tokens, &root, NOW), None);
    let events = tokens.events(0, 10).await.expect("a store in memory");
    let told: Vec<_> = events.iter().map(|(_, event)| event.summary.as_str()).collect();
    assert_eq!(told, ["revoked ada: operator", "created ada: operator", "created root: admin"]);
    assert!(events.iter().all(|(_, event)| event.actor == "token:root"));
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_by_what_is_stored() {
    let store = MemoryStore::default();
    let tokens = tokens(&store).await;
    let root = make(&tokens, new("root", Role::Admin)).await;
    let root = holder(&tokens, &root);
    let ada = make(&tokens, new("ada", Role::Operator)).await;
    store.fail_next(Call::Keep, Fault::After);
    let lost = tokens.revoke("ada", &root, &by(), NOW).await;
    assert!(matches!(lost, Err(TokenError::Store(StoreError::Unknown(_)))), "{lost:?}");
    assert_eq!(denied(&tokens, &ada, NOW), Some(Denied::Unknown), "it was revoked all the same");
    store.fail_next(Call::Keep, Fault::Before);
    let failed = tokens.create(new("bob", Role::Viewer), Some(&root), &by(), NOW).await;
    assert!(failed.is_err() && tokens.list().len() == 1, "{failed:?}");
}

#[tokio::test]
async fn only_services_are_kept_to_migrations() {
    let tokens = tokens(&MemoryStore::default()).await;
    make(&tokens, new("root", Role::Admin)).await;
    let orders = vec![Key::parse("orders").expect("a key")];
    let person = NewToken { migrations: orders.clone(), ..new("ada", Role::Operator) };
    let refused = tokens.create(person, None, &by(), NOW).await;
    assert!(matches!(&refused, Err(TokenError::Invalid(it)) if it.field == "migrations"), "{refused:?}");
    let shop = make(&tokens, NewToken { migrations: orders, ..new("shop", Role::Sdk) }).await;
    let admitted = tokens.admit(Some(shop.expose_secret()), NOW).expect("it is known");
    assert!(admitted.covers("orders") && !admitted.covers("users"));
}

#[tokio::test]
async fn the_last_use_is_stored_and_survives_changes() {
    let store = MemoryStore::default();
    let first = tokens(&store).await;
    let root = make(&first, new("root", Role::Admin)).await;
    assert!(first.admit(Some(root.expose_secret()), NOW + 5).is_ok());
    make(&first, new("ada", Role::Viewer)).await;
    first.save_uses().await.expect("a store in memory");
    let uses = |tokens: &Tokens| tokens.list().iter().map(|it| it.used_ms).collect::<Vec<_>>();
    assert_eq!((uses(&first), uses(&*tokens(&store).await)), (vec![0, NOW + 5], vec![0, NOW + 5]));
}
