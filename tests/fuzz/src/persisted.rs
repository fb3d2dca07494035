//! The saved snapshot of an SDK.

use std::{path::Path, time::Duration};

use cutover_client::{
    clock,
    persisted::{PersistedError, Saving, encode, parse},
    store::Version,
};
use cutover_core::{
    routing::Snapshot,
    wire::{self, Assembled, UpdateKind},
};

use crate::{
    Target,
    draw::Draw,
    wire::{assert_same, part},
};

pub(crate) const TARGET: Target =
    Target { name: "persisted", check, seeds, words: &["CUTOVER\0", "acme", "orders"] };

/// Bytes before the checksum's end. The fuzzer leaves the checksum to us.
const CRC_BYTES: usize = 4;

fn check(bytes: &[u8]) {
    let path = Path::new("snapshot");
    // As it is: nearly always damaged.
    if let Err(error) = parse(path, bytes) {
        assert!(error.to_string().contains("snapshot"), "{error}");
    }
    let Some((content, _)) = bytes.split_last_chunk::<CRC_BYTES>() else { return };
    let whole = [content, &crc32fast::hash(content).to_le_bytes()].concat();
    let read = match parse(path, &whole) {
        Ok(read) => read,
        Err(PersistedError::Damaged { what, .. }) => {
            assert!(!what.contains("checksum"), "{what}");
            return;
        }
        Err(_) => return,
    };
    assert!(read.writer_slot < Version::SLOTS);
    assert!(read.heard.elapsed() <= read.valid + Duration::from_secs(60), "it has expired");

    let saving = Saving {
        history_id: read.history_id.clone(),
        seal: read.seal.clone(),
        is_base: true,
        writer_slot: read.writer_slot,
        heard: read.heard,
        valid: read.valid,
    };
    let written = encoded(&read.snapshot, &saving);
    match parse(path, &written) {
        Ok(again) => {
            assert_same(&read.snapshot, &again.snapshot);
            let rest =
                |of: &Saving| (of.history_id.clone(), of.seal.clone(), of.writer_slot, of.valid.as_millis());
            let again = Saving {
                history_id: again.history_id,
                seal: again.seal,
                writer_slot: again.writer_slot,
                valid: again.valid,
                ..saving.clone()
            };
            assert_eq!(rest(&again), rest(&saving));
        }
        // Time passes.
        Err(PersistedError::Expired { .. }) => {}
        Err(other) => panic!("what was written can't be read: {other}"),
    }
    // No part of it is a file.
    let cut = written.len() * usize::from(bytes[0]) / 256;
    assert!(parse(path, &written[..cut]).is_err(), "{cut} of {} bytes", written.len());
}

fn encoded(snapshot: &Snapshot, saving: &Saving) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, snapshot, saving).expect("memory takes it");
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let file = |noise: &Vec<u8>| {
        let mut draw = Draw::new(noise);
        let tables = draw.some(4, |draw| part(draw, 7));
        let (removed, seal) = (Vec::new(), String::new());
        let state = Assembled { kind: UpdateKind::Snapshot, revision: 7, tables, removed, seal };
        let snapshot = wire::apply(&Snapshot::default(), &state).expect("a snapshot always fits");
        let saving = Saving {
            history_id: "history".to_owned(),
            seal: "seal".to_owned(),
            is_base: !draw.one_in(4),
            writer_slot: 17,
            heard: clock::Instant::now(),
            // For as long as a seed is kept.
            valid: Duration::from_secs(100 * 365 * 86_400),
        };
        encoded(&snapshot, &saving)
    };
    crate::seeds::noise(20, 256).iter().map(file).collect()
}
