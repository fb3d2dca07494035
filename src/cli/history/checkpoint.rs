//! A signed checkpoint: a statement of what the newest event was, by somebody with a key.

use std::{fs::OpenOptions, io::Write as _, path::Path};

use anyhow::Context as _;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, ParsedPublicKey};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};

use super::super::exit::Failure;
use crate::domain::Hash;

/// The first line: the form of the file.
const FORM: &str = "cutover history checkpoint 1";

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The history of the event.
    pub(super) history_id: String,
    /// The event.
    pub(super) revision: u64,
    /// Its hash.
    pub(super) hash: Hash,
    /// By the clock of who signed.
    pub(super) signed_at: String,
}

impl Checkpoint {
    /// Writes it to a file that does not exist yet.
    pub(super) fn write(&self, path: &Path, key: &Ed25519KeyPair) -> anyhow::Result<()> {
        let statement = self.statement();
        let signature = key.sign(statement.as_bytes());
        let signature: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = path.display();
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
                match error.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        Failure::usage(format!("{name} exists: give another name, or move it away first"))
                    }
                    _ => Failure::refused(format!("can't write {name}: {error}"), Vec::new()),
                }
            })?;
        file.write_all(format!("{statement}signature {signature}\n").as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("can't write {name}"))
    }

    /// Reads a file, and verifies its signature.
    pub(super) fn read(path: &Path, public_key: &Path) -> anyhow::Result<Self> {
        let key = key_bytes(public_key)?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&key).ok();
        let key = key.and_then(|key| ParsedPublicKey::new(&ED25519, key.as_ref()).ok()).ok_or_else(|| {
            let (name, make) = (public_key.display(), "openssl pkey -in PRIVATE -pubout -out PUBLIC");
            Failure::refused(format!("{name} is no Ed25519 public key in PEM: {make} writes one"), Vec::new())
        })?;
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::unreadable(&name.to_string(), &error, ""))?;
        let (checkpoint, statement, signature) =
            parse(&text).ok_or_else(|| Failure::refused(format!("{name} is no checkpoint"), Vec::new()))?;
        key.verify_sig(statement.as_bytes(), &signature).ok().with_context(|| {
            format!(
                "the signature of {name} is not of this key: the file was changed, or another key signed it"
            )
        })?;
        Ok(checkpoint)
    }

    /// What is signed: all of the file before the signature.
    fn statement(&self) -> String {
        let Self { history_id, revision, hash, signed_at } = self;
        format!("{FORM}\nhistory-id {history_id}\nrevision {revision}\nhash {hash}\nsigned-at {signed_at}\n")
    }
}

/// The checkpoint, the bytes that were signed, and the signature.
fn parse(text: &str) -> Option<(Checkpoint, &str, Vec<u8>)> {
    let statement = &text[..text.find("signature ")?];
    let mut lines = text.lines();
    let mut field = |name: &str| lines.next()?.strip_prefix(name);
    field(FORM).filter(|rest| rest.is_empty())?;
    let checkpoint = Checkpoint {
        history_id: field("history-id ")?.to_owned(),
        revision: field("revision ")?.parse().ok()?,
        hash: field("hash ")?.parse().ok()?,
        signed_at: field("signed-at ")?.to_owned(),
    };
    let signature = field("signature ")?;
    let is_whole = checkpoint.statement() == statement && lines.next().is_none() && signature.is_ascii();
    let digits = |at: usize| u8::from_str_radix(signature.get(at..at + 2)?, 16).ok();
    let signature = (0..signature.len()).step_by(2).map(digits).collect::<Option<Vec<u8>>>()?;
    is_whole.then_some((checkpoint, statement, signature))
}

/// The key that signs.
pub(super) fn private_key(path: &Path) -> anyhow::Result<Ed25519KeyPair> {
    let pem = key_bytes(path)?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(&pem).ok();
    let key = key.and_then(|key| Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok());
    Ok(key.ok_or_else(|| {
        let (name, make) = (path.display(), "openssl genpkey -algorithm ed25519 -out FILE");
        Failure::refused(
            format!("{name} is no Ed25519 private key in PKCS#8 PEM: {make} makes one"),
            Vec::new(),
        )
    })?)
}

fn key_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::unreadable(&path.display().to_string(), &error, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_in_no_other_form() {
        let hash = Hash::of(b"of an event");
        let signed_at = "2026-11-29T20:00:00Z".to_owned();
        let checkpoint = Checkpoint { history_id: "8f".to_owned(), revision: 7, hash, signed_at };
        let text = format!("{}signature 00ff\n", checkpoint.statement());
        let (read, statement, signature) = parse(&text).expect("a checkpoint");
        assert_eq!((&read, signature), (&checkpoint, vec![0, 255]));
        assert_eq!(statement, checkpoint.statement());
        for (from, to) in [
            ("revision 7", "revision 07"),
            ("checkpoint 1", "checkpoint 2"),
            ("history-id 8f", "history-id signature 8f"),
            ("signature 00ff", "signature 00f"),
            ("signature 00ff", "signature zz"),
            ("signature 00ff\n", "signature 00ff\nmore"),
            ("hash ", "hash 0"),
        ] {
            assert_eq!(parse(&text.replace(from, to)), None, "{to}");
        }
    }
}
