//! Tokens as a provider makes them, and as somebody makes them who is none.

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::json;

use super::*;

const NOW_S: u64 = 1_700_000_000;

/// A key of a provider.
struct Signer {
    name: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn new(name: &'static str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let key = match algorithm {
            Algorithm::ES256 => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
                EncodingKey::from_ec_der(made.as_ref())
            }
            Algorithm::EdDSA => {
                EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref())
            }
            _ => {
                let made = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
                // The library takes PKCS#1, which is what follows after the 26 bytes of PKCS#8 at this size.
                EncodingKey::from_rsa_der(&made.as_ref()[26..])
            }
        };
        Self { name, algorithm, key }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.name.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.name.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

fn set(signers: &[&Signer]) -> Value {
    json!({ "keys": signers.iter().map(|signer| signer.public()).collect::<Vec<_>>() })
}

fn keys(signers: &[&Signer]) -> Keys {
    Keys::parse(set(signers).to_string().as_bytes()).unwrap()
}

fn settings() -> Settings {
    let file = r#"
        issuer = "https://login.example.com"
        audience = "cutover"
        keys = "https://login.example.com/keys"
        [roles]
        operator = ["platform", "oncall"]
        approver = ["leads"]
    "#;
    toml::from_str::<File>(file).unwrap().check().unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com",
        "aud": ["other", "cutover"],
        "exp": NOW_S + 600,
        "nbf": NOW_S,
        "sub": "248289761001",
        "email": "ada@example.com",
        "email_verified": true,
        "groups": ["everybody", "oncall", "leads"],
    })
}

/// The claims with some of them changed; null removes one.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    let of = claims.as_object_mut().unwrap();
    for (claim, value) in changes.as_object().unwrap() {
        if value.is_null() {
            of.remove(claim)
        } else {
            of.insert(claim.clone(), value.clone())
        };
    }
    claims
}

fn at(signer: &Signer, claims: &Value, now_s: u64) -> Result<Person, Rejected> {
    verify(&settings(), &keys(&[signer]), &signer.sign(claims), now_s * 1000)
}

#[test]
fn a_person_is_who_the_claims_say_whatever_kind_of_key_signed_them() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256] {
        let signer = Signer::new("1", algorithm);
        let ada = at(&signer, &claims(), NOW_S).unwrap();
        assert_eq!(ada.name, "ada@example.com", "{algorithm:?}");
        assert_eq!(ada.account.as_deref(), Some("https://login.example.com 248289761001"));
        assert_eq!(ada.roles, [Role::Approver, Role::Operator]);
        assert_eq!(ada.until_ms, (NOW_S + 630) * 1000);
        assert!(
            keys(&[&signer]).has(&ada.key) && !keys(&[&Signer::new("1", Algorithm::ES256)]).has(&ada.key)
        );
    }
}

#[test]
fn each_claim_that_is_missing_or_wrong_is_named() {
    let signer = Signer::new("1", Algorithm::EdDSA);
    for (changes, told) in [
        (json!({ "iss": "https://evil.example.com" }), "was not made by https://login.example.com"),
        (json!({ "iss": null }), "claim \"iss\" is missing"),
        (json!({ "aud": "other" }), "is not for cutover"),
        (json!({ "aud": null }), "claim \"aud\" is missing"),
        (json!({ "exp": null }), "claim \"exp\" is missing"),
        (json!({ "exp": "tomorrow" }), "claim \"exp\""),
        (json!({ "exp": -1 }), "claim \"exp\""),
        (json!({ "nbf": "now" }), "claim \"nbf\" is no time"),
        (json!({ "exp": NOW_S - 90 }), "expired 60 s ago"),
        (json!({ "nbf": NOW_S + 90 }), "valid only from 60 s on"),
        (json!({ "email": null }), "claim \"email\" is no text"),
        (json!({ "email": "" }), "claim \"email\" is no name"),
        (json!({ "email": "ada\n" }), "claim \"email\" is no name"),
        (json!({ "email": "ada\u{200b}@example.com" }), "claim \"email\" is no name"),
        (json!({ "email": "moc.elpmaxe\u{202e}ada" }), "claim \"email\" is no name"),
        (json!({ "email": "ada\u{a0}b" }), "claim \"email\" is no name"),
        (json!({ "email": "a".repeat(101) }), "claim \"email\" is no name"),
        (json!({ "email_verified": false }), "not verified"),
        (json!({ "email_verified": "false" }), "not verified"),
        (json!({ "groups": ["everybody"] }), "ada@example.com is in no group that has a role"),
        (json!({ "groups": "platforms" }), "is in no group"),
        (json!({ "groups": null }), "is in no group"),
    ] {
        let refused = at(&signer, &with(changes.clone()), NOW_S).unwrap_err().to_string();
        assert!(refused.contains(told), "{changes}: {refused}");
    }
}

#[test]
fn an_account_has_a_short_text_in_sub() {
    let signer = Signer::new("1", Algorithm::EdDSA);
    for sub in [json!(null), json!(""), json!(7), json!("x".repeat(256))] {
        assert_eq!(at(&signer, &with(json!({ "sub": sub })), NOW_S).unwrap().account, None, "{sub}");
    }
}

#[test]
fn clocks_may_be_30_s_apart() {
    let signer = Signer::new("1", Algorithm::EdDSA);
    assert!(at(&signer, &claims(), NOW_S + 629).is_ok() && at(&signer, &claims(), NOW_S + 630).is_err());
    assert!(at(&signer, &claims(), NOW_S - 30).is_ok() && at(&signer, &claims(), NOW_S - 31).is_err());
}

#[test]
fn claims_may_lie_inside_of_others() {
    let signer = Signer::new("1", Algorithm::EdDSA);
    let claims = with(json!({ "groups": null, "realm_access": { "roles": "platform" } }));
    let settings = Settings { groups: "realm_access.roles".to_owned(), ..settings() };
    let verified = verify(&settings, &keys(&[&signer]), &signer.sign(&claims), NOW_S * 1000);
    assert_eq!(verified.unwrap().roles, [Role::Operator]);
}

#[test]
fn only_a_key_of_the_provider_is_believed() {
    let (ours, theirs) = (Signer::new("1", Algorithm::ES256), Signer::new("1", Algorithm::ES256));
    let unsigned = Rejected::Signature { issuer: "https://login.example.com".to_owned() };
    let verified = |token: &str| verify(&settings(), &keys(&[&ours]), token, NOW_S * 1000);
    assert_eq!(verified(&theirs.sign(&claims())), Err(unsigned.clone()), "a key of the same name");
    let other = Signer { name: "2", ..Signer::new("2", Algorithm::ES256) };
    assert_eq!(verified(&other.sign(&claims())), Err(unsigned.clone()), "a key that is not published");
    // The public key, which everybody knows, as a shared secret.
    let secret = EncodingKey::from_secret(ours.public().to_string().as_bytes()).unwrap();
    let forged = encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
    assert_eq!(verified(&forged), Err(unsigned.clone()));
    // Other claims under a signature.
    let (real, more) = (ours.sign(&claims()), ours.sign(&with(json!({ "email": "eve@example.com" }))));
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let forged = [&parts(&real)[0], &parts(&more)[1], &parts(&real)[2]].map(String::as_str).join(".");
    assert_eq!(verified(&forged), Err(unsigned));
    let long = format!("{}.e30.e30", "e".repeat(TOKEN_MAX_BYTES));
    assert!(is_jwt(&long), "it is told what is wrong with it");
    assert_eq!(verified(&long), Err(Rejected::TooLong(long.len())));
    for unsigned in ["eyJhbGciOiJub25lIn0.e30.", "a.b.c", "..", "{}.{}.{}"] {
        assert!(matches!(verified(unsigned), Err(Rejected::Malformed(_))), "{unsigned}");
    }
    assert!(verified(&real).is_ok());
}

#[test]
fn a_token_that_names_no_key_is_tried_with_all() {
    let (one, two) = (Signer::new("1", Algorithm::ES256), Signer::new("2", Algorithm::ES256));
    let token = encode(&Header::new(Algorithm::ES256), &claims(), &two.key).unwrap();
    assert!(verify(&settings(), &keys(&[&one, &two]), &token, NOW_S * 1000).is_ok());
}

#[test]
fn a_token_is_tried_with_eight_keys_and_first_with_the_likeliest() {
    let many: Vec<Signer> = (0..20).map(|_| Signer::new("old", Algorithm::EdDSA)).collect();
    let last = Signer::new("new", Algorithm::EdDSA);
    let all: Vec<&Signer> = many.iter().chain([&last]).collect();
    let mut set = set(&all);
    let parse = |set: &Value| Keys::parse(set.to_string().as_bytes()).unwrap();
    let keys = parse(&set);
    assert_eq!(keys.candidates(None, Algorithm::EdDSA).count(), 8);
    assert!(verify(&settings(), &keys, &last.sign(&claims()), NOW_S * 1000).is_ok(), "it names its key");
    let unnamed = encode(&Header::new(Algorithm::EdDSA), &claims(), &last.key).unwrap();
    assert!(verify(&settings(), &keys, &unnamed, NOW_S * 1000).is_err());
    set["keys"][20].as_object_mut().unwrap().remove("kid");
    assert!(
        verify(&settings(), &parse(&set), &unnamed, NOW_S * 1000).is_ok(),
        "nor does the key have a name"
    );
}

#[test]
fn a_key_is_the_same_one_whatever_else_is_said_of_it() {
    let (one, two) = (Signer::new("1", Algorithm::RS256), Signer::new("2", Algorithm::ES256));
    let before = keys(&[&one, &two]);
    let mut renewed = set(&[&two, &one]);
    renewed["keys"][1]["x5c"] = json!(["bmV3"]);
    renewed["keys"][1]["kid"] = json!("3");
    let renewed = Keys::parse(renewed.to_string().as_bytes()).unwrap();
    assert!(renewed.are_those_of(&before) && before.are_those_of(&renewed));
    assert!(!keys(&[&one]).are_those_of(&before) && !before.are_those_of(&keys(&[&one])));
}

#[test]
fn keys_that_everybody_could_sign_with_or_that_are_for_something_else_are_passed_over() {
    let mut encrypts = Signer::new("1", Algorithm::EdDSA).public();
    encrypts["use"] = json!("enc");
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" });
    let unknown = json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "" });
    let refused = |set: Value| Keys::parse(set.to_string().as_bytes()).unwrap_err();
    let parsed = refused(json!({ "keys": [encrypts, secret, unknown.clone()] }));
    assert!(matches!(parsed, KeysError::Empty), "{parsed}");
    assert!(matches!(refused(json!({ "keys": vec![unknown; 101] })), KeysError::TooMany(101)));
    assert!(matches!(refused(json!([])), KeysError::Malformed(_)));
}

#[test]
fn settings_that_would_let_nobody_or_anybody_in_are_refused() {
    let parse = |keys: &str, roles: &str| {
        let file = format!("issuer = \"i\"\naudience = \"a\"\nkeys = {keys:?}\n[roles]\n{roles}");
        toml::from_str::<File>(&file).unwrap().check().map_err(|error| error.to_string())
    };
    let url = "https://login.example.com/keys";
    for (keys, roles, told) in [
        (url, "", "gives no group a role"),
        (url, "viewer = []", "gives no group a role"),
        (url, "viewer = [\"\"]", "is empty"),
        (url, "sdk = [\"services\"]", "\"sdk\" is no role for people"),
        (url, "worker = [\"passes\"]", "\"worker\" is no role for people"),
        (url, "boss = [\"bosses\"]", "\"boss\" is no role for people"),
        ("", "viewer = [\"all\"]", "keys is empty"),
        ("http://login.example.com/keys", "viewer = [\"all\"]", "has no https"),
        ("ftp://login.example.com/keys", "viewer = [\"all\"]", "is no address"),
        ("https://", "viewer = [\"all\"]", "is no address"),
        ("https://ada:secret@login.example.com/keys", "viewer = [\"all\"]", "without a password"),
        ("http://ada:secret@login.example.com/keys?key=secret", "viewer = [\"all\"]", "without a password"),
        ("http://login.example.com/keys?key=secret", "viewer = [\"all\"]", "has no https"),
    ] {
        let refused = parse(keys, roles).unwrap_err();
        assert!(refused.contains(told) && !refused.contains("secret"), "{keys} {roles}: {refused}");
    }
    let url = parse("https://login.example.com/keys?key=secret", "viewer = [\"all\"]").unwrap();
    assert_eq!(url.keys.to_string(), "https://login.example.com/keys");
    let file = parse("/etc/cutover/keys.json", "viewer = [\"all\"]").unwrap();
    assert_eq!(file.keys, KeySource::File("/etc/cutover/keys.json".into()));
    assert_eq!(file.name, "email");
}
