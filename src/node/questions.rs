//! What other nodes ask by a service.
//!
//! r2r's own answers are given up at once where the middleware does not know the asker yet; these are sent again.

use futures::{FutureExt, Stream, StreamExt};
use r2r::{Node, QosProfile, ServiceRequest, WrappedServiceTypeSupport};

use super::log::Log;

/// How often an answer is sent before it is given up: the middleware may learn of the asker after its
/// question. Each try takes up to 0.1 s.
const TRIES: u32 = 20;

/// Questions that wait at most; those that come then are lost. By default it would be ten.
const WAITING: usize = 256;

/// The questions to a service of type `S`.
pub(crate) struct Questions<S: WrappedServiceTypeSupport> {
    name: String,
    requests: Box<dyn Stream<Item = ServiceRequest<S>> + Unpin + Send>,
    /// Answers that could not be sent yet, and how often that was tried.
    unsent: Vec<(ServiceRequest<S>, S::Response, u32)>,
}

impl<S> Questions<S>
where
    S: WrappedServiceTypeSupport + Send + 'static,
    S::Response: Send,
{
    /// Offers the service under the node's name.
    pub fn create(node: &mut Node, name: &str) -> r2r::Result<Self> {
        let path = format!("{}/{name}", node.name()?);
        let requests = Box::new(node.create_service::<S>(&path, QosProfile::default().keep_last(WAITING))?);
        Ok(Self { name: name.to_owned(), requests, unsent: Vec::new() })
    }

    /// What has been asked and not taken yet.
    pub(crate) fn next(&mut self) -> Option<ServiceRequest<S>> {
        self.requests.next().now_or_never().flatten()
    }

    /// Takes an answer, to be sent by `send`.
    pub(crate) fn reply(&mut self, request: ServiceRequest<S>, response: S::Response) {
        self.unsent.push((request, response, 0));
    }

    /// Sends the answers that are there.
    pub(crate) fn send(&mut self, log: &Log) {
        for (request, response, tries) in std::mem::take(&mut self.unsent) {
            match request.clone().respond(response.clone()) {
                Ok(()) => {}
                Err(_) if tries + 1 < TRIES => self.unsent.push((request, response, tries + 1)),
                Err(error) => log.warn(&format!("an answer from {} found nobody: {error}", self.name)),
            }
        }
    }

    /// Answers what has been asked since the last call.
    pub(crate) fn answer(&mut self, log: &Log, mut answer: impl FnMut(S::Request) -> S::Response) {
        while let Some(request) = self.next() {
            let response = answer(request.message.clone());
            self.reply(request, response);
        }
        self.send(log);
    }
}
