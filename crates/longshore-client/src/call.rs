//! Calls of AWS operations by their shapes: written, signed, sent, and their answers read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longshore_base::Clock;
use longshore_sigv4::Credentials;
use longshore_wire::{DecodeError, NotWritten, OperationShape, Protocol, ReceivedError, Written};

use crate::endpoint::{Endpoint, EndpointError};
use crate::http::{Answer, HttpClient, Repeat, SendError};
use crate::request::Request;
use crate::retry::Retry;
use crate::signer::Signer;

/// How long a call may take (agent-protocol G3: about 42 s). Our server answers within 30.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A call that has no output.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The service says no.
    #[error("{operation} was refused: {error}")]
    Refused {
        operation: String,
        status: u16,
        error: ReceivedError,
        /// By which the server's log knows it.
        request_id: Option<String>,
    },
    /// Something answers that is no AWS API, such as a proxy.
    #[error("{operation} was answered with HTTP {status}, and not as an AWS API does it")]
    Foreign { operation: String, status: u16 },
    #[error("the answer to {operation} cannot be read")]
    Unreadable { operation: String, source: DecodeError },
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
}

/// Calls the API at one endpoint as one principal. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    http: HttpClient,
    endpoint: Arc<Endpoint>,
    signer: Signer,
    protocol: Option<Protocol>,
    timeout: Duration,
    repeat: Repeat,
    retry: Option<Retry>,
    /// What it asks is for everybody.
    is_anonymous: bool,
}

impl Client {
    /// A client that makes each call once.
    ///
    /// # Errors
    /// `endpoint` is no `http://` or `https://` address.
    pub fn new(
        http: HttpClient,
        endpoint: &str,
        credentials: Credentials,
        region: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EndpointError> {
        let endpoint = Arc::new(Endpoint::parse(endpoint)?);
        let signer = Signer::new(credentials, region, clock);
        Ok(Self {
            http,
            endpoint,
            signer,
            protocol: None,
            timeout: TIMEOUT,
            repeat: Repeat::Never,
            retry: None,
            is_anonymous: false,
        })
    }

    /// The same with the credentials of somebody else, such as a task's role.
    #[must_use]
    pub fn of(&self, credentials: Credentials) -> Self {
        Self { signer: self.signer.of(credentials), ..self.clone() }
    }

    /// The same in another region, as far as signatures say one.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self { signer: self.signer.in_region(region), ..self.clone() }
    }

    /// Calls in this protocol, and not in the one that each service's model prefers.
    #[must_use]
    pub fn speaking(self, protocol: Protocol) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    /// Each attempt may take this long.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Every call may arrive twice, whatever the model says: a kept connection that breaks is no failure then.
    #[must_use]
    pub fn repeating(self) -> Self {
        Self { repeat: Repeat::Harmless, ..self }
    }

    /// Makes calls again that fail for a while (the SDKs' standard mode). Idempotency tokens are filled in.
    #[must_use]
    pub fn retrying(self, retry: Retry) -> Self {
        Self { retry: Some(retry), ..self }
    }

    /// The same without signatures, for operations that need none.
    #[must_use]
    pub fn anonymous(self) -> Self {
        Self { is_anonymous: true, ..self }
    }

    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Makes one call.
    ///
    /// The input is not checked against the model: the server does that, and says what is wrong.
    pub async fn call<O: OperationShape>(&self, input: &O::Input) -> Result<O::Output, CallError> {
        let protocol = self.protocol_of::<O>()?;
        let token = self.retry.as_ref().map(Retry::token);
        let written = protocol.write_request::<O>(input, token.as_deref())?;
        let is_harmless = O::READONLY || O::IDEMPOTENT || token.is_some();
        let asked = Asked { operation: O::NAME, service: O::SERVICE.signing_name, protocol, is_harmless };
        let answer = self.made(&asked, written).await?;
        let read = answer.with(|answer| protocol.read_answer::<O>(answer));
        read.map_err(|source| CallError::Unreadable { operation: O::NAME.to_owned(), source })
    }

    /// Makes one call of an operation that is known by its name alone, in awsJson 1.1: `target` is the whole
    /// `X-Amz-Target`. Gives the body of the answer.
    pub async fn call_json(
        &self,
        service: &str,
        target: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Bytes, CallError> {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let asked = Asked { operation, service, protocol: Protocol::AwsJson11, is_harmless: false };
        self.made(&asked, json_request(target, body.into())).await.map(|answer| answer.body)
    }

    /// What a path answers to anybody, such as `/metrics`; of any status.
    pub async fn get(&self, path: &str) -> Result<Answer, SendError> {
        let request = Request::get(&self.endpoint, path);
        self.http.send(&self.endpoint.origin, request, Repeat::Harmless, self.timeout).await
    }

    /// The request of a call, signed and not sent; for who writes bytes by hand.
    pub fn signed<O: OperationShape>(&self, input: &O::Input) -> Result<Request, CallError> {
        let written = self.protocol_of::<O>()?.write_request::<O>(input, None)?;
        Ok(Request::to(&self.endpoint, written).signed(&self.signer, O::SERVICE.signing_name))
    }

    /// The same for [`Client::call_json`].
    pub fn signed_json(&self, service: &str, target: &str, body: impl Into<Vec<u8>>) -> Request {
        Request::to(&self.endpoint, json_request(target, body.into())).signed(&self.signer, service)
    }

    fn protocol_of<O: OperationShape>(&self) -> Result<Protocol, NotWritten> {
        let first = || O::SERVICE.protocols.first().copied().unwrap_or(Protocol::AwsJson11);
        self.protocol.or_else(Protocol::preferred::<O>).ok_or_else(|| NotWritten::Protocol(first()))
    }

    /// Makes a call as often as it takes and is allowed.
    async fn made(&self, asked: &Asked<'_>, written: Written) -> Result<Answer, CallError> {
        let Some(retry) = &self.retry else { return self.made_once(asked, written).await };
        let mut attempts = Retry::begin();
        loop {
            match self.made_once(asked, written.clone()).await {
                Ok(answer) => {
                    retry.succeeded(&attempts);
                    return Ok(answer);
                }
                Err(error) => match retry.after(&mut attempts, &error) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                },
            }
        }
    }

    async fn made_once(&self, asked: &Asked<'_>, written: Written) -> Result<Answer, CallError> {
        let request = Request::to(&self.endpoint, written);
        let request = if self.is_anonymous { request } else { request.signed(&self.signer, asked.service) };
        let repeat = if asked.is_harmless { Repeat::Harmless } else { self.repeat };
        let answer = self.http.send(&self.endpoint.origin, request, repeat, self.timeout).await?;
        if answer.is_success() { Ok(answer) } else { Err(asked.refused(&answer)) }
    }
}

/// What has to be known of a call beside its request.
struct Asked<'a> {
    operation: &'a str,
    service: &'a str,
    protocol: Protocol,
    /// It may arrive twice.
    is_harmless: bool,
}

impl Asked<'_> {
    fn refused(&self, answer: &Answer) -> CallError {
        let (operation, status) = (self.operation.to_owned(), answer.status);
        answer.with(|answer| match self.protocol.read_error(answer) {
            Some(error) => {
                let request_id = Protocol::request_id(answer).map(str::to_owned);
                CallError::Refused { operation, status, error, request_id }
            }
            None => CallError::Foreign { operation, status },
        })
    }
}

fn json_request(target: &str, body: Vec<u8>) -> Written {
    let headers = vec![
        ("content-type", Protocol::AwsJson11.content_type().to_owned()),
        ("x-amz-target", target.to_owned()),
    ];
    Written { method: "POST", path: "/".to_owned(), query: String::new(), headers, body }
}
