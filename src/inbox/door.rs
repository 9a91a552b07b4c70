//! The door of a listener: how many may stand in it, how long a head may take, TLS or not, and when it closes.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    accept::{Accept, NoDelayAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::places::{Place, Places};

/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How much of a connection is held in memory at a time; a head that is longer is refused with 431.
const MOST_BUFFERED: usize = 32 * 1024;
/// How long requests under way may take after we have stopped accepting.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// The TLS of a door. It may be exchanged while the door is open; a connection keeps that with which it began.
#[derive(Clone, Debug)]
pub struct Tls(RustlsConfig);

impl Tls {
    /// With this to begin with.
    #[must_use]
    pub fn new(config: rustls::ServerConfig) -> Self {
        Self(RustlsConfig::from_config(Arc::new(config)))
    }

    /// From now on with this.
    pub fn exchange(&self, config: rustls::ServerConfig) {
        self.0.reload_from_config(Arc::new(config));
    }
}

/// Serves `router` on a listener until told to stop; then answers what is under way and returns.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    places: Arc<Places>,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let handle = Handle::new();
    tokio::spawn({
        let handle = handle.clone();
        async move {
            stop.cancelled().await;
            handle.graceful_shutdown(Some(LAST_ANSWERS));
        }
    });
    let door = Counted { places, inner: NoDelayAcceptor::new() };
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    match tls {
        Some(Tls(tls)) => {
            let acceptor = RustlsAcceptor::new(tls).acceptor(door);
            let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle).http1_only();
            mind_the_head(server.http_builder());
            server.serve(service).await
        }
        None => {
            let mut server = axum_server::from_tcp(listener)?.acceptor(door).handle(handle).http1_only();
            mind_the_head(server.http_builder());
            server.serve(service).await
        }
    }
}

/// Limits the time of a head. It holds for HTTP/1 only: while a server still has to find out which version it hears, no limit does.
fn mind_the_head(builder: &mut auto::Builder<TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(MOST_BUFFERED);
}

/// Lets only so many connections in; one for which there is no place is closed at once.
#[derive(Clone, Debug)]
struct Counted {
    places: Arc<Places>,
    inner: NoDelayAcceptor,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Counted {
    type Stream = Placed;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Placed, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().ok().and_then(|peer| self.places.take(peer));
        let accepted = self.inner.accept(stream, service);
        Box::pin(async move {
            let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            let (stream, service) = accepted.await?;
            let leave = Box::pin(place.leave.clone().cancelled_owned());
            Ok((Placed { stream, leave, _place: place }, service))
        })
    }
}

/// A connection that gives its place back when it ends, and breaks off when somebody else needs the place.
struct Placed {
    stream: TcpStream,
    leave: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Place,
}

impl Placed {
    fn poll_leave(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.leave.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_leave(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_leave(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
