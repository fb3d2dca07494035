//! Clients with an event stream of flagd's: the server's memory.

use std::time::Duration;

use cutover_proto::flagd::v2::{EventStreamRequest, service_client::ServiceClient};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::transport::Endpoint;

use super::{controller, directory, usage};

/// Number of streams opened at a time.
const OPENING: usize = 64;
const SETTLE: Duration = Duration::from_secs(1);

/// Resident memory of a controller with so many clients, in MiB. Each has its own connection.
pub(super) async fn measure(streams: u32) -> anyhow::Result<f64> {
    let dir = directory()?;
    let mut server = controller(&dir).await?;
    let url = server.url.clone();
    let open = |_| async {
        let channel = Endpoint::from_shared(url.clone())?.connect().await?;
        let mut events = ServiceClient::new(channel).event_stream(EventStreamRequest {}).await?.into_inner();
        let ready = events.message().await?;
        anyhow::ensure!(ready.is_some(), "an event stream ended at once");
        anyhow::Ok(events)
    };
    let opened: Vec<_> = stream::iter(0..streams).map(open).buffer_unordered(OPENING).try_collect().await?;
    tokio::time::sleep(SETTLE).await;
    let mib = usage(&mut server).await?.rss_bytes / 1024.0 / 1024.0;
    drop(opened);
    server.stop().await?;
    Ok(mib)
}
