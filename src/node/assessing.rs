//! The threads from the mailboxes to the topics: decoding, inference, publishing. All cameras share them, in turn.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::loading::tell;
use super::log::{Log, Throttle};
use super::output::Audience;
use super::station::Station;
use crate::monitor::pipeline::Monitor;
use crate::watch::decoding::{Decoded, decode};
use crate::watch::lent::Lent;
use crate::watch::stream::{Assessed, Assessor, Session, self_test_if_due};
use crate::watch::verdict::Validity;
use crate::watch::workers::Workers;

/// Assessed images that may wait to be published before inference waits for them.
const WAITING: usize = 1;

/// How long inference waits for an image before it looks whether a self-test is due.
const GLANCE: Duration = Duration::from_millis(50);

/// Starts the threads from the mailboxes to the topics.
pub(crate) fn assess(
    assessing: &mut Workers,
    sessions: Vec<Session<Lent<Monitor>>>,
    stations: &[Station],
    log: &Log,
) -> std::io::Result<()> {
    // From a mailbox to pixels, handed over directly: nothing waits in between.
    let (to_inference, decoded) = sync_channel(0);
    assessing.spawn("decoding", {
        let cameras: Vec<_> = stations.iter().map(|station| station.shared.clone()).collect();
        move || decode(&cameras, &to_inference)
    })?;
    // From pixels to a verdict.
    let (to_publishing, assessed) = sync_channel(WAITING);
    assessing.spawn("inference", {
        let (stations, log) = (stations.to_owned(), log.clone());
        move || infer(sessions, &decoded, &stations, &to_publishing, &log)
    })?;
    // From a verdict to the topics.
    assessing.spawn("publishing", {
        let stations = stations.to_owned();
        move || publish(assessed, &stations)
    })
}

/// Assesses what is decoded until there will be no more. Sessions and stations have the numbers of their cameras.
fn infer<A: Assessor>(
    mut sessions: Vec<Session<A>>,
    decoded: &Receiver<(usize, Decoded)>,
    stations: &[Station],
    to_publishing: &SyncSender<(usize, Assessed, Audience)>,
    log: &Log,
) {
    let mut said: Vec<_> = stations.iter().map(|_| (Throttle::default(), false)).collect();
    loop {
        if let Some(tested) = self_test_if_due(&mut sessions) {
            tell(&tested, log);
        }
        let (camera, next) = match decoded.recv_timeout(GLANCE) {
            Ok(next) => next,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let (Station { images, log, .. }, (throttle, told_jump)) = (&stations[camera], &mut said[camera]);
        let audience = images.audience();
        let assessed = sessions[camera].assess(next, audience.wanted());
        let verdict = &assessed.verdict;
        let faulty = matches!(verdict.validity, Validity::Failed | Validity::InvalidInput);
        if faulty && throttle.allows(Instant::now()) {
            log.error(&verdict.reason);
        }
        if assessed.jumped && !std::mem::replace(told_jump, true) {
            log.warn(
                "stamps have jumped back and stay there; starting afresh, now and whenever it happens again",
            );
        }
        if to_publishing.send((camera, assessed, audience)).is_err() {
            return;
        }
    }
}

/// Publishes each assessed image while the next one is assessed, until there will be no more.
fn publish(outcomes: Receiver<(usize, Assessed, Audience)>, stations: &[Station]) {
    let mut throttle = Throttle::default();
    for (camera, assessed, audience) in outcomes {
        let Station { shared, reports, images, log, .. } = &stations[camera];
        let turn = shared.turn();
        let assessed = assessed.leaving(shared);
        let sent = reports.send(&assessed.verdict);
        drop(turn);
        if sent.is_ok() {
            shared.state().reported(Instant::now());
        }
        let labels = reports.identity().labels;
        if let Err(error) = sent.and_then(|()| images.send(assessed, audience, labels.as_ref()))
            && throttle.allows(Instant::now())
        {
            log.error(&format!("could not publish: {error}"));
        }
    }
}
