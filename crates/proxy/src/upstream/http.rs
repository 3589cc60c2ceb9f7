//! One HTTP request to a server and the reading of its reply, for all HTTP transports and both eras.

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use portcullis_egress::{Egress, EgressError, Reach};
use portcullis_mcp::{Limits, Message, Response as Reply};
use url::Url;

use super::credential::{Credential, operation};
use super::error::{Garbage, UpstreamError};
use super::event_stream::EventStream;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The longest body of a refusal that is looked into for a JSON-RPC error.
const REFUSAL_BYTES_MAX: usize = 256 * 1024;

/// A server's URL, and what is sent to it with each request.
pub(super) struct Endpoint {
    egress: Egress,
    pub(super) url: Url,
    uri: Uri,
    headers: HeaderMap,
    credential: Option<Credential>,
    pub(super) limits: Limits,
}

/// What a POST was answered with.
pub(super) enum Posted {
    /// One JSON-RPC response, and the HTTP status.
    Whole(Reply, u16),
    /// An event stream.
    Stream(EventStream),
    /// Taken without an answer (202, or an empty body).
    Accepted,
}

impl Endpoint {
    /// The endpoint at `url`, which is sent `headers` each time. The URL was checked by
    /// [`super::Spec::build`], or was derived from one that was.
    pub(super) fn new(
        egress: Egress,
        url: Url,
        headers: HeaderMap,
        limits: Limits,
    ) -> Result<Self, UpstreamError> {
        let uri = url
            .as_str()
            .parse()
            .ok()
            .ok_or(Garbage::Endpoint("is not a URL"))?;
        Ok(Self {
            egress,
            url,
            uri,
            headers,
            credential: None,
            limits,
        })
    }

    /// The same server at another address.
    pub(super) fn at(&self, url: Url) -> Result<Self, UpstreamError> {
        let there = Self::new(self.egress.clone(), url, self.headers.clone(), self.limits)?;
        Ok(Self {
            credential: self.credential.clone(),
            ..there
        })
    }

    /// The same server, which is shown a credential with each request.
    pub(super) fn showing(&self, credential: Credential) -> Self {
        Self {
            egress: self.egress.clone(),
            url: self.url.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            credential: Some(credential),
            limits: self.limits,
        }
    }

    /// POSTs one message with `headers` besides the configured ones.
    pub(super) async fn post(
        &self,
        headers: &HeaderMap,
        message: Bytes,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let mut headers = headers.clone();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, BOTH);
        self.send(Method::POST, &headers, message).await
    }

    /// GETs an event stream with `headers` besides the configured ones.
    pub(super) async fn get(&self, headers: &HeaderMap) -> Result<EventStream, UpstreamError> {
        let mut headers = headers.clone();
        headers.insert(ACCEPT, EVENTS);
        let response = self.send(Method::GET, &headers, Bytes::new()).await?;
        check_status(&response)?;
        match media_type(&response) {
            Some(MediaType::Events) if response.status() == StatusCode::OK => Ok(EventStream::new(
                response.into_body(),
                self.limits.bytes_max,
            )),
            _ => Err(Garbage::MediaType(shown_media_type(&response)).into()),
        }
    }

    /// DELETEs with `headers` besides the configured ones; whatever the answer is.
    pub(super) async fn delete(&self, headers: &HeaderMap) -> Result<StatusCode, UpstreamError> {
        let response = self.send(Method::DELETE, headers, Bytes::new()).await?;
        Ok(response.status())
    }

    fn request(&self, method: Method, headers: &HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        for (name, value) in headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        request
    }

    /// Sends a request with the credential, and again with another while the server wants that and there is one.
    async fn send(
        &self,
        method: Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, UpstreamError> {
        match &self.credential {
            None => self.send_once(self.request(method, headers, body)).await,
            // Boxed, so that whoever has no credential does not carry the state of obtaining one.
            Some(credential) => {
                Box::pin(self.send_showing(credential, method, headers, body)).await
            }
        }
    }

    async fn send_showing(
        &self,
        credential: &Credential,
        method: Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let mut attempt = 0;
        loop {
            let mut request = self.request(method.clone(), headers, body.clone());
            let used = credential.show(&mut request, &self.url).await?;
            let response = self.send_once(request).await?;
            let operation = || operation(&method, &body);
            if !credential
                .refused(&response, used, attempt, operation)
                .await?
            {
                return Ok(response);
            }
            attempt += 1;
        }
    }

    async fn send_once(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let client = self.egress.client(Reach::Configured);
        client.request(request).await.map_err(|error| match error {
            EgressError::Exchange { .. } => UpstreamError::Broken(error),
            error => UpstreamError::Connect(error),
        })
    }

    /// Reads the reply to a POST: a whole answer to its end, a stream to where it begins.
    pub(super) async fn read(&self, response: Response<Incoming>) -> Result<Posted, UpstreamError> {
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            return self.refusal(response).await;
        }
        check_status(&response)?;
        match media_type(&response) {
            Some(MediaType::Json) => {}
            Some(MediaType::Events) => {
                let stream = EventStream::new(response.into_body(), self.limits.bytes_max);
                return Ok(Posted::Stream(stream));
            }
            None if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT => {
                return Ok(Posted::Accepted);
            }
            None => return Err(Garbage::MediaType(shown_media_type(&response)).into()),
        }
        let body = collect(response, self.limits.bytes_max).await?;
        if body.is_empty() {
            return Ok(Posted::Accepted);
        }
        match portcullis_mcp::decode(body, &self.limits)? {
            Message::Response(reply) => Ok(Posted::Whole(reply, status.as_u16())),
            Message::Request(_) => Err(Garbage::Unexpected("a request").into()),
            Message::Notification(_) => Err(Garbage::Unexpected("a notification").into()),
        }
    }

    /// A refusal is an answer if its body is a JSON-RPC error, whatever its media type says.
    async fn refusal(&self, response: Response<Incoming>) -> Result<Posted, UpstreamError> {
        let status = response.status();
        let error = match check_status(&response) {
            Ok(()) => UpstreamError::Status(status.as_u16()),
            Err(error) => error,
        };
        if matches!(media_type(&response), Some(MediaType::Events)) {
            return Err(error);
        }
        let bytes_max = REFUSAL_BYTES_MAX.min(self.limits.bytes_max);
        let Ok(body) = collect(response, bytes_max).await else {
            return Err(error);
        };
        match portcullis_mcp::decode(body, &self.limits) {
            Ok(Message::Response(reply)) if status != StatusCode::UNAUTHORIZED => {
                Ok(Posted::Whole(reply, status.as_u16()))
            }
            _ => Err(error),
        }
    }
}

async fn collect(response: Response<Incoming>, bytes_max: usize) -> Result<Bytes, UpstreamError> {
    let declared = response.headers().get(CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(UpstreamError::TooLarge);
    }
    match Limited::new(response.into_body(), bytes_max)
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(UpstreamError::TooLarge)
        }
        Err(_) => Err(UpstreamError::Lost),
    }
}

/// Success, or the error that a status alone amounts to.
fn check_status(response: &Response<Incoming>) -> Result<(), UpstreamError> {
    match response.status() {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED => {
            let challenge = response.headers().get(WWW_AUTHENTICATE);
            let challenge = challenge.and_then(|value| value.to_str().ok());
            Err(UpstreamError::Unauthorized {
                challenge: challenge.map(str::to_owned),
            })
        }
        status => Err(UpstreamError::Status(status.as_u16())),
    }
}

enum MediaType {
    Json,
    Events,
}

fn media_type(response: &Response<Incoming>) -> Option<MediaType> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Some(MediaType::Json)
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        Some(MediaType::Events)
    } else {
        None
    }
}

fn shown_media_type(response: &Response<Incoming>) -> String {
    let value = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or("nothing").chars().take(64).collect()
}
