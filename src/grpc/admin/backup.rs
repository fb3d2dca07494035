//! Streams a copy of the store.

use std::sync::Arc;

use cutover_proto::v1;
use tokio::{io::AsyncReadExt as _, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::status;
use crate::service::Operate;

/// Bytes of one part.
const PART_BYTES: usize = 256 << 10;

type Part = Result<v1::BackupResponse, Status>;

pub(super) fn stream(operate: Arc<Operate>) -> ReceiverStream<Part> {
    let (reader, stream) = mpsc::channel(2);
    tokio::spawn(async move {
        if let Err(error) = send(&operate, &reader).await {
            // The receiver may have gone.
            let _ = reader.send(Err(error)).await;
        }
    });
    ReceiverStream::new(stream)
}

/// The store first writes its own file, so that a slow reader does not keep it busy.
async fn send(operate: &Operate, reader: &mpsc::Sender<Part>) -> Result<(), Status> {
    let failed = |error: std::io::Error| Status::unavailable(format!("can't write the backup: {error}"));
    let directory = tempfile::TempDir::with_prefix("cutover-backup-").map_err(failed)?;
    let path = directory.path().join("cutover.db");
    operate.backup(&path).await.map_err(status::store)?;
    let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
    loop {
        let mut data = Vec::with_capacity(PART_BYTES);
        let read = (&mut file).take(PART_BYTES as u64).read_to_end(&mut data).await.map_err(failed)?;
        let part = v1::BackupResponse { data, last: read == 0 };
        if reader.send(Ok(part)).await.is_err() || read == 0 {
            return Ok(());
        }
    }
}
