//! A message as a bag holds it, and which of them are wanted.

use std::sync::Arc;

use bytes::Bytes;

/// One message of a bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its type, such as `sensor_msgs/msg/Image`; empty where the bag does not say.
    pub kind: Arc<str>,
    /// When it was recorded, in nanoseconds since 1970.
    pub stamp: i64,
    /// CDR, encapsulation included.
    pub data: Bytes,
    /// Whether something is known to be wrong around it.
    pub trust: Trust,
}

/// How much a message is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing is known against it.
    Sound,
    /// The chunk that it lies in fails its checksum, or it ends where a database may have been cut: it, or
    /// another one there, is not as it was recorded.
    Doubtful,
}

/// What is wanted of a bag.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Topics; none means all.
    pub topics: Vec<String>,
    /// Types, of whatever topic; none means all.
    pub kinds: Vec<String>,
}

impl Wish {
    pub(crate) fn wants(&self, topic: &str, kind: &str) -> bool {
        (self.topics.is_empty() && self.kinds.is_empty())
            || self.topics.iter().any(|wanted| wanted == topic)
            || self.kinds.iter().any(|wanted| wanted == kind)
    }
}
