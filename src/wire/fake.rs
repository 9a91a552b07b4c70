//! Small servers for the tests of the clients: they answer what a test says and tell what they were asked.
//!
//! They imitate nobody; the simulated systems are elsewhere.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request that came.
#[derive(Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the header is text"))
    }
}

/// A server on a free port that ends with the test.
pub struct Fake {
    pub url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub async fn answering(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url_of(&listener);
        let (seen, router) = router(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// The list of what came, and a router that answers.
pub fn router(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> (Arc<Mutex<Vec<Seen>>>, axum::Router) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let answer = Arc::new(answer);
    let router = axum::Router::new().fallback({
        let seen = Arc::clone(&seen);
        move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
            let target = parts.uri.path_and_query().unwrap().to_string();
            let request = Seen { method: parts.method, target, headers: parts.headers, body };
            let response = answer(&request);
            seen.lock().unwrap().push(request);
            response
        }
    });
    (seen, router)
}

/// An answer of Primero or DTP in JSON.
pub fn json(status: u16, body: &serde_json::Value) -> Response {
    typed(status, "application/json; charset=utf-8", &body.to_string())
}

/// An answer of some proxy.
pub fn html(status: u16) -> Response {
    typed(status, "text/html", "<html><body>Marker-Page</body></html>")
}

pub fn empty(status: u16) -> Response {
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::empty()).unwrap()
}

pub fn typed(status: u16, content_type: &str, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).header(CONTENT_TYPE, content_type).body(Body::from(body.to_owned())).unwrap()
}

/// A server that reads each request whole, writes these bytes and closes.
pub async fn writing(bytes: &'static str) -> Url {
    serving(move |mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
    })
    .await
}

/// A server that takes requests and never answers.
pub async fn silent() -> Url {
    serving(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

/// A port on which nobody listens.
pub async fn nobody() -> Url {
    url_of(&TcpListener::bind("127.0.0.1:0").await.unwrap())
}

async fn serving<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url_of(&listener);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    url
}

async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the client hung up");
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

fn url_of(listener: &TcpListener) -> Url {
    format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap()
}
