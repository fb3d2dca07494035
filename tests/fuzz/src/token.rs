//! The header `authorization`, and the texts of tokens.

use std::sync::{Arc, OnceLock};

use cutover::{
    domain::Role,
    server::bearer,
    service::{NewToken, Tokens, UnderWay, operate::RequestMeta},
    store::memory::MemoryStore,
};
use futures::executor::block_on;
use secrecy::ExposeSecret as _;
use tonic::codegen::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "token",
    check,
    seeds,
    words: &["Bearer ", "bearer \0", "Basic ", "\n", "cutover_", "\t"],
};

const NOW_MS: u64 = 1_700_000_000_000;

/// The tokens of a controller, and the text of the only one.
fn tokens() -> &'static (Arc<Tokens>, String) {
    static TOKENS: OnceLock<(Arc<Tokens>, String)> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let load = Tokens::load(Arc::new(MemoryStore::default()), UnderWay::default());
        let tokens = Arc::new(block_on(load).expect("a store in memory"));
        let new = NewToken {
            name: "root".to_owned(),
            roles: vec![Role::Admin],
            migrations: Vec::new(),
            expires_ms: None,
        };
        let by = RequestMeta { actor: "fuzz".to_owned(), ..RequestMeta::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let made = runtime.block_on(tokens.create(new, None, &by, NOW_MS)).expect("it is the first");
        (tokens, made.0.expose_secret().to_owned())
    })
}

/// Each line is a header. A NUL, which no header has, stands for the token's text.
fn check(bytes: &[u8]) {
    let (tokens, text) = tokens();
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == 0).collect::<Vec<_>>().join(text.as_bytes()));
    let lines: Vec<Vec<u8>> = lines.collect();
    let mut headers = HeaderMap::new();
    for line in &lines {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(AUTHORIZATION, value);
    }
    let admitted = match bearer(&headers) {
        Ok(shown) => {
            let shown = shown.expect("there is a header");
            assert_eq!(shown, shown.trim(), "blanks are no part of a token");
            let admitted = tokens.admit(Some(shown), NOW_MS);
            if let Err(denied) = &admitted {
                assert!(shown.is_empty() || !denied.to_string().contains(text.as_str()), "shows the token");
            }
            admitted.is_ok()
        }
        Err(status) => {
            assert!(!status.message().contains(text.as_str()), "shows the token");
            false
        }
    };
    assert_eq!(admitted, is_right(&lines, text), "{}", bytes.escape_ascii());

    // One bit makes another token.
    let at = bytes.len() % (text.len() * 7);
    let mut other = text.clone().into_bytes();
    other[at / 7] ^= 1 << (at % 7);
    let other = String::from_utf8(other).expect("7 bits are ASCII");
    assert!(tokens.admit(Some(&other), NOW_MS).is_err(), "{other}");
}

/// RFC 6750 by another way: one header, the scheme in any case, blanks, the token.
fn is_right(lines: &[Vec<u8>], text: &str) -> bool {
    let [line] = lines else { return false };
    let Some((scheme, rest)) = line.split_at_checked(7) else { return false };
    let token = str::from_utf8(rest).map(str::trim);
    scheme.eq_ignore_ascii_case(b"bearer ") && token == Ok(text)
}

fn seeds() -> Vec<Vec<u8>> {
    let lines: &[&[u8]] = &[
        b"Bearer \0",
        b"bearer  \0 ",
        b"BEARER\t\0",
        b"Basic \0",
        b"Bearer \0\nBearer \0",
        b"\0",
        b"",
        b"Bearer cutover_0000",
        b"Bearer \0x",
        b"Bearer \xff\0",
    ];
    lines.iter().map(|line| line.to_vec()).collect()
}
