//! What the recorder of alarms is told of this node.

use std::collections::BTreeMap;
use std::fmt::Write;

use r2r::Node;

use super::output::{Identity, Reports};
use crate::model::bundle::sha256;
use crate::watch::cameras::Camera;
use crate::watch::recorder::{Recorder, Topics};
use crate::watch::settings::Recording;
use crate::watch::shared::NodeClock;
use crate::watch::shared_parameters::SharedParameters;
use crate::watch::topic_names::resolved;

/// The recorder, and the work of its thread.
pub(crate) fn recorder(
    options: Recording,
    camera: &Camera,
    node: &Node,
    reports: &Reports,
    parameters: SharedParameters,
    clock: NodeClock,
) -> r2r::Result<(Recorder, impl FnOnce() + Send + 'static)> {
    let (arguments, name) = (std::env::args().collect::<Vec<_>>(), node.fully_qualified_name()?);
    let named = |topic: &str| resolved(topic, &name, &arguments);
    let input = |topic: &str| named(&camera.input(topic));
    let topics = Topics {
        whose: camera.clone(),
        camera: ["image", "image/compressed"].map(input),
        labels: ["labels", "labels/compressed"].map(input),
        report: named(&camera.output("report")),
    };
    let reports = reports.clone();
    let whose = camera.name().map(|name| ("camera".to_owned(), name.to_owned()));
    let facts = Box::new(move || {
        let mut facts = facts(&reports.identity(), &parameters);
        facts.extend(whose.clone());
        facts
    });
    Ok(Recorder::new(options, topics, facts, clock))
}

fn facts(identity: &Identity, parameters: &SharedParameters) -> BTreeMap<String, String> {
    let mut configuration = String::new();
    for (name, value) in parameters.lock().values() {
        // A text takes all that is written to it.
        let _ = writeln!(configuration, "{name}: {value}");
    }
    let facts = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("bundle", identity.bundle.clone()),
        ("bundle_hash", identity.hash.clone()),
        ("networks", identity.model.clone()),
        ("configuration_sha256", sha256(configuration.as_bytes())),
        ("configuration", configuration),
    ];
    facts.map(|(name, fact)| (name.to_owned(), fact)).into()
}
