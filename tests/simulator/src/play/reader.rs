//! The end: a new service reads every record.

use super::{make_service, people, start};
use crate::{
    cast::{KEY, traffic},
    expiring, oracle, world,
};

/// A new service reads every record.
pub(super) fn read_everything() {
    let mut service = make_service(99);
    service.name = "reader".to_owned();
    service.instance_id = "reader".to_owned();
    service.persist = None;
    start(service.pid, async move {
        let client = loop {
            let options = cutover_client::Options {
                instance_id: Some(service.instance_id.clone()),
                ..Default::default()
            };
            if let Ok(client) = cutover_client::Client::connect(super::address(), "reader", options).await {
                break client;
            }
        };
        let [source, target] = service.stores.clone();
        let migrator = expiring::with_ttl(client.migrator(KEY, source, target));
        for record in oracle::records() {
            let Some((tenant, key)) = record.split_once('/') else { continue };
            loop {
                let began = oracle::now();
                match migrator.get_bytes(tenant, key).await {
                    Ok(found) => {
                        let found = found.as_deref().map(traffic::value);
                        oracle::read(&record, found, began, "the last read", true);
                        break;
                    }
                    Err(error) => world::tell(|| format!("the last read of {record}: {error}")),
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
        people::has_read_everything();
    });
}
