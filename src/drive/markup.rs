//! What pages about drives share: their frame, tiles, levels, limits, numbers.

use std::time::{Duration, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::bag::message::MonitorReport;
use crate::watch::debounce::Level;

/// A page that needs nothing but itself; `style` is added to what all have.
pub(crate) fn document(title: &str, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) (PreEscaped(style)) }
            }
            body {
                (body)
                footer { "synthcp_monitor " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    page.into_string()
}

/// Figures, each with its name.
pub(crate) fn tiles<'a>(tiles: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    html! {
        dl.tiles { @for (name, value) in tiles { div { dt { (name) } dd { (value) } } } }
    }
}

/// How many frames there are at each level.
pub(crate) fn levels(levels: &[(Level, usize)]) -> Markup {
    let total = levels.iter().map(|(_, count)| count).sum::<usize>().max(1);
    html! {
        div.bar role="img" aria-label="Share of the frames at each level" {
            @for (level, count) in levels.iter().filter(|(_, count)| *count > 0) {
                i class=(level.name()) style=(format!("flex-grow:{count}")) {}
            }
        }
        ul.key {
            @for (level, count) in levels {
                li { i class=(level.name()) {} (level.name()) " " (count) " (" (percent(*count as f32 / total as f32)) ")" }
            }
        }
    }
}

pub(crate) fn limits(report: &MonitorReport) -> Markup {
    // The level goes by one of the two.
    let anomalous = match report.threshold_thing.is_nan() {
        true => ("anomalous share of the image at or above", percent(report.threshold_anomaly_area)),
        false => ("a thing on the road, of a probability at or above", number(report.threshold_thing, 3)),
    };
    let limits = [
        ("CAUTION", "failure score at or above", number(report.threshold_caution, 3)),
        ("FAILURE", "failure score at or above", number(report.threshold_failure, 3)),
        ("CAUTION", anomalous.0, anomalous.1),
        ("wrong pixel", "error probability at or above", number(report.threshold_error, 3)),
        ("anomalous pixel", "anomaly score at or above", number(report.threshold_anomaly, 3)),
    ];
    html! {
        h2 { "Limits in force" }
        table.limits {
            @for (what, when, limit) in limits { tr { td { (what) } td { (when) } td.n { (limit) } } }
        }
        p {
            @if report.guarantee.is_empty() { "Set by hand: without a guarantee." } @else { (report.guarantee) }
        }
    }
}

pub(crate) fn level(level: Level) -> Markup {
    html! { strong class=(level.name()) { (level.name()) } }
}

pub(crate) fn number(value: f32, decimals: usize) -> String {
    if value.is_nan() { "none".to_owned() } else { format!("{value:.decimals$}") }
}

pub(crate) fn percent(share: f32) -> String {
    if share.is_nan() { "none".to_owned() } else { format!("{:.1} %", 100.0 * share) }
}

pub(crate) fn moment(nanos: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_nanos(nanos);
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC")
}

pub(crate) fn data_uri(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg))
}

/// A drawing, with a label for readers who do not see it.
pub(crate) fn drawing(svg: &str, label: &str) -> Markup {
    let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1);
    html! { div.wide { (PreEscaped(svg)) } }
}
