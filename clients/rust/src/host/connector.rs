//! Opens connections, with or without TLS.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    task::spawn_blocking,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tonic::codegen::{Service, http::Uri};

use crate::tls::{TlsError, TlsFiles};

/// Longest wait for the server's first bytes. A controller sends some at once, or says that it refuses the client's
/// certificate; not every server does.
const FIRST: Duration = Duration::from_millis(300);
/// Enough for the first message of HTTP/2.
const FIRST_BYTES: usize = 1_024;

/// Opens connections.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    http: HttpConnector,
    /// How long to wait for the server's first bytes.
    first: Duration,
    /// The name in the server's certificate, and the files. `None`: without TLS.
    tls: Option<(String, TlsFiles)>,
    /// The machine to connect to. `None`: the one that the name leads to.
    ip: Option<SocketAddr>,
}

/// A connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Encrypted {
        stream: Box<TlsStream<TcpStream>>,
        /// What was read before somebody asked for it.
        first: Vec<u8>,
    },
}

impl Connector {
    pub(crate) fn new(
        connect_timeout: Duration,
        tls: Option<(String, TlsFiles)>,
        ip: Option<SocketAddr>,
    ) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(connect_timeout));
        Self { http, first: FIRST.min(connect_timeout / 4), tls, ip }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let uri = match self.ip {
            None => Ok(uri),
            Some(ip) => format!("http://{ip}").parse(),
        };
        let dialled = uri.map(|uri| self.http.call(uri));
        let (first, tls) = (self.first, self.tls.clone());
        Box::pin(async move {
            let stream = dialled?.await?.into_inner();
            let stream = match tls {
                None => Stream::Plain(stream),
                Some((host, files)) => encrypted(stream, &host, files, first).await?,
            };
            Ok(TokioIo::new(stream))
        })
    }
}

/// Reads the files, so that renewed ones are used, and does the handshake.
async fn encrypted(
    stream: TcpStream,
    host: &str,
    files: TlsFiles,
    first_within: Duration,
) -> Result<Stream, Box<dyn Error + Send + Sync>> {
    let name = ServerName::try_from(host.to_owned())?;
    let config = match spawn_blocking(move || files.config()).await? {
        Ok(config) => config,
        Err(error) => {
            show_failure(stream, name, first_within).await;
            return Err(error.into());
        }
    };
    let failed = |error: io::Error| TlsError::of(&error, host);
    let mut stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
    // With TLS 1.3 the handshake is over before the server has seen this client's certificate.
    let mut first = Vec::with_capacity(FIRST_BYTES);
    match timeout(first_within, stream.read_buf(&mut first)).await {
        Ok(Ok(0)) => return Err(failed(io::ErrorKind::UnexpectedEof.into()).into()),
        Ok(Err(error)) => return Err(failed(error).into()),
        Ok(Ok(_)) | Err(_) => {}
    }
    Ok(Stream::Encrypted { stream: Box::new(stream), first })
}

/// Begins a handshake that this side refuses. The controller has to see that the process lives: otherwise it takes a silent
/// process for dead.
async fn show_failure(stream: TcpStream, name: ServerName<'static>, within: Duration) {
    let Ok(config) = TlsFiles::trusting_nobody() else { return };
    let Err((_, mut stream)) = TlsConnector::from(config).connect(name, stream).into_fallible().await else {
        return;
    };
    // A connection that is closed with unread data is reset, and the controller may lose the alert.
    let unread = async {
        let _ = stream.shutdown().await;
        while stream.read(&mut [0; FIRST_BYTES]).await.is_ok_and(|count| count > 0) {}
    };
    let _ = timeout(within, unread).await;
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Encrypted { first, .. } if !first.is_empty() => {
                let count = first.len().min(into.remaining());
                into.put_slice(&first[..count]);
                first.drain(..count);
                Poll::Ready(Ok(()))
            }
            Self::Encrypted { stream, .. } => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, data),
            Self::Encrypted { stream, .. } => Pin::new(stream).poll_write(context, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted { stream, .. } => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted { stream, .. } => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Self::Encrypted { stream, .. } => Pin::new(stream).poll_write_vectored(context, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Encrypted { stream, .. } => stream.is_write_vectored(),
        }
    }
}
