//! An instance that says what it is told to say: for reports that no SDK would send.

use cutover_proto::v1::{
    self, routing_service_client::RoutingServiceClient, telemetry_service_client::TelemetryServiceClient,
};
use tonic::{Status, Streaming, transport::Channel};

pub struct Instance {
    pub id: String,
    incarnation: u64,
    /// Sequence number of the last report.
    pub sequence: u64,
    telemetry: TelemetryServiceClient<Channel>,
    /// While this lives the controller considers it connected.
    _watching: Streaming<v1::WatchResponse>,
}

impl Instance {
    pub async fn register(url: &str, id: &str, incarnation: u64) -> Self {
        let request = v1::WatchRequest {
            instance_id: id.to_owned(),
            service: "orders-api".to_owned(),
            incarnation,
            ..Default::default()
        };
        let mut routing = RoutingServiceClient::connect(url.to_owned()).await.unwrap();
        let mut watching = routing.watch(request).await.unwrap().into_inner();
        watching.message().await.unwrap().expect("it is registered");
        let telemetry = TelemetryServiceClient::connect(url.to_owned()).await.unwrap();
        Self { id: id.to_owned(), incarnation, sequence: 0, telemetry, _watching: watching }
    }

    /// The next report.
    pub async fn report(&mut self, cells: Vec<v1::Cell>) -> v1::ReportResponse {
        self.sequence += 1;
        self.say(self.sequence, cells).await.unwrap()
    }

    /// A report with any sequence number.
    pub async fn say(&mut self, sequence: u64, cells: Vec<v1::Cell>) -> Result<v1::ReportResponse, Status> {
        let request =
            v1::ReportRequest { instance_id: self.id.clone(), sequence, cells, ..Default::default() };
        self.send(request).await
    }

    pub async fn send(&mut self, request: v1::ReportRequest) -> Result<v1::ReportResponse, Status> {
        let request = v1::ReportRequest { incarnation: self.incarnation, ..request };
        // The client has its own limit: the controller has to reject what is too large.
        let client = self.telemetry.clone().max_encoding_message_size(usize::MAX);
        Ok({ client }.report(request).await?.into_inner())
    }
}
