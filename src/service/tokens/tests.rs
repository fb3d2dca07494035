//! Stories of tokens over a store in memory.

use super::*;
use crate::store::memory::{Call, Fault, MemoryStore};

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

async fn make(tokens: &Arc<Tokens>, new: NewToken) -> SecretString {
    tokens.create(new, true, &by(), NOW).await.expect("it is made").0
}

fn denied(tokens: &Tokens, text: &SecretString, now_ms: u64) -> Option<Denied> {
    tokens.admit(Some(text.expose_secret()), now_ms).err()
}

#[tokio::test]
async fn from_the_first_token_on_every_call_needs_one() {
    let store = MemoryStore::default();
    let tokens = tokens(&store).await;
    assert!(tokens.admit(None, NOW).is_ok_and(|it| it.principal == Principal::anybody()));
    let open = tokens.admit(None, NOW).expect("it is open");
    let root = make(&tokens, new("root", Role::Admin)).await;
    assert_eq!(tokens.admit(None, NOW).err(), Some(Denied::Missing));
    assert_eq!(tokens.admit(Some("cutover_00"), NOW).err(), Some(Denied::Unknown));
    let admitted = tokens.admit(Some(root.expose_secret()), NOW).expect("it is known");
    assert_eq!(admitted.principal.name(), Some("root"));
    tokens.until_refused(open, || NOW).await;
}

#[tokio::test]
async fn the_first_one_is_an_admins_made_on_this_machine() {
    let tokens = tokens(&MemoryStore::default()).await;
    let viewer = tokens.create(new("ada", Role::Viewer), true, &by(), NOW).await;
    assert!(matches!(viewer, Err(TokenError::FirstIsNoAdmin)), "{viewer:?}");
    let expires = NewToken { expires_ms: Some(NOW + 1), ..new("root", Role::Admin) };
    assert!(matches!(tokens.create(expires, true, &by(), NOW).await, Err(TokenError::FirstIsNoAdmin)));
    let afar = tokens.create(new("root", Role::Admin), false, &by(), NOW).await;
    assert!(matches!(afar, Err(TokenError::FirstFromAfar)), "{afar:?}");
    assert!(tokens.is_empty());
    make(&tokens, new("root", Role::Admin)).await;
    let second = tokens.create(new("ada", Role::Viewer), false, &by(), NOW).await;
    assert!(second.is_ok(), "an admin may be anywhere");
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
    let (new, _) = tokens.rotate("root", hour, None, &by(), NOW).await.expect("it is rotated");
    assert_eq!((denied(&tokens, &old, NOW), denied(&tokens, &new, NOW)), (None, None));
    assert_eq!(denied(&tokens, &old, NOW + 3_600_000), Some(Denied::Unknown));
    let (newest, _) = tokens.rotate("root", Duration::ZERO, None, &by(), NOW).await.expect("and again");
    assert_eq!(denied(&tokens, &new, NOW), Some(Denied::Unknown), "at once");
    assert_eq!(denied(&tokens, &newest, NOW), None);
}

#[tokio::test(start_paused = true)]
async fn an_expired_one_is_refused_by_name_and_its_streams_end() {
    let tokens = tokens(&MemoryStore::default()).await;
    make(&tokens, new("root", Role::Admin)).await;
    let ada = NewToken { expires_ms: Some(NOW + 90_000), ..new("ada", Role::Viewer) };
    let ada = make(&tokens, ada).await;
    let admitted = tokens.admit(Some(ada.expose_secret()), NOW).expect("not yet");
    let began = tokio::time::Instant::now();
    tokens.until_refused(admitted, || NOW + began.elapsed().as_millis() as u64).await;
    assert_eq!(began.elapsed().as_secs(), 90);
    let error = denied(&tokens, &ada, NOW + 150_000).expect("it has expired").to_string();
    assert!(error.starts_with("token ada expired 60 s ago"), "{error}");
    let again = tokens.rotate("ada", Duration::ZERO, None, &by(), NOW + 150_000).await;
    assert!(matches!(again, Err(TokenError::Expired(_))), "{again:?}");
    let later = tokens.rotate("ada", Duration::ZERO, Some(NOW + 200_000), &by(), NOW + 150_000).await;
    assert!(later.is_ok(), "{later:?}");
}

#[tokio::test]
async fn a_revoked_one_is_refused_at_once_and_the_last_admin_stays() {
    let store = MemoryStore::default();
    let tokens = tokens(&store).await;
    let root = make(&tokens, new("root", Role::Admin)).await;
    let ada = make(&tokens, new("ada", Role::Operator)).await;
    let admitted = tokens.admit(Some(ada.expose_secret()), NOW).expect("it is known");
    tokens.revoke("ada", &by(), NOW).await.expect("it is revoked");
    tokens.until_refused(admitted, || NOW).await;
    assert_eq!(denied(&tokens, &ada, NOW), Some(Denied::Unknown));
    let last = tokens.revoke("root", &by(), NOW).await;
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
    make(&tokens, new("root", Role::Admin)).await;
    let ada = make(&tokens, new("ada", Role::Operator)).await;
    store.fail_next(Call::Keep, Fault::After);
    let lost = tokens.revoke("ada", &by(), NOW).await;
    assert!(matches!(lost, Err(TokenError::Store(StoreError::Unknown(_)))), "{lost:?}");
    assert_eq!(denied(&tokens, &ada, NOW), Some(Denied::Unknown), "it was revoked all the same");
    store.fail_next(Call::Keep, Fault::Before);
    let failed = tokens.create(new("bob", Role::Viewer), true, &by(), NOW).await;
    assert!(failed.is_err() && tokens.list().len() == 1, "{failed:?}");
}

#[tokio::test]
async fn only_services_are_kept_to_migrations() {
    let tokens = tokens(&MemoryStore::default()).await;
    make(&tokens, new("root", Role::Admin)).await;
    let orders = vec![Key::parse("orders").expect("a key")];
    let person = NewToken { migrations: orders.clone(), ..new("ada", Role::Operator) };
    let refused = tokens.create(person, true, &by(), NOW).await;
    assert!(matches!(&refused, Err(TokenError::Invalid(it)) if it.field == "migrations"), "{refused:?}");
    let shop = make(&tokens, NewToken { migrations: orders, ..new("shop", Role::Sdk) }).await;
    let admitted = tokens.admit(Some(shop.expose_secret()), NOW).expect("it is known");
    assert!(admitted.principal.covers("orders") && !admitted.principal.covers("users"));
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
