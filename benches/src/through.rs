//! The minimum of a miss: a server and a client of hyper with nothing between them.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// Serves every connection of `listener`: sends each request to `base`, without a change, and returns the response as a
/// whole.
pub async fn serve(listener: TcpListener, base: Uri) {
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    while let Ok((stream, _)) = listener.accept().await {
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let (client, base) = (client.clone(), base.clone());
        let service = service_fn(move |request| forward(client.clone(), base.clone(), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn forward(
    client: HttpClient,
    base: Uri,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(receive(client, base, request).await.unwrap_or_else(|_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

async fn receive(
    client: HttpClient,
    base: Uri,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, _) = request.into_parts();
    let mut uri = base.into_parts();
    uri.path_and_query = head.uri.into_parts().path_and_query;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_parts(uri)?;
    *request.headers_mut() = head.headers;
    let (head, body) = client.request(request).await?.into_parts();
    let mut response = Response::new(Full::new(body.collect().await?.to_bytes()));
    *response.headers_mut() = without_date(head.headers);
    Ok(response)
}

/// hyper's server adds `Date` itself.
fn without_date(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(http::header::DATE);
    headers
}
