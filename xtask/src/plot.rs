// SPDX-License-Identifier: MIT OR Apache-2.0
//! A plot of figures as SVG: for each case a bar a host, as long as its ratio to the baseline.

use std::fmt::Write;

use crate::bench::Figure;

/// The length of a bar that is as slow as the baseline.
const UNIT: f64 = 360.0;
/// Where bars begin.
const LEFT: f64 = 190.0;
/// The height of a row.
const ROW: f64 = 24.0;
/// Where the rows begin.
const TOP: f64 = 60.0;

/// Draws the figures that have a baseline.
pub(crate) fn svg(kernel: &str, figures: &[Figure]) -> String {
    let rows: Vec<(&Figure, f64)> = figures
        .iter()
        .filter_map(|figure| Some((figure, figure.ratio()?)))
        .collect();
    let height = TOP + ROW * rows.len() as f64 + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"26\" font-size=\"16\">Instructions against the baseline, which is grey (Linux {})</text>\n",
        escaped(kernel)
    );
    for (index, (figure, ratio)) in rows.iter().enumerate() {
        let top = TOP + ROW * index as f64;
        // What is much slower than the baseline would leave the picture: its number tells.
        let length = (ratio * UNIT).min(UNIT * 1.3);
        let is_baseline = figure.baseline.is_some_and(|(host, _)| host == figure.host);
        let colour = if is_baseline { "#b0b0b0" } else { "#3a6ea5" };
        let _ = write!(
            svg,
            "<text x=\"20\" y=\"{base:.0}\">{case} {host}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top:.0}\" width=\"{length:.1}\" height=\"{bar:.0}\" fill=\"{colour}\"/>\n\
             <text x=\"{after:.0}\" y=\"{base:.0}\">{ratio:.2} ({ns})</text>\n",
            base = top + 14.0,
            case = escaped(&figure.case),
            host = escaped(&figure.host),
            bar = ROW - 6.0,
            after = LEFT + length + 6.0,
            ns = figure.ns,
        );
    }
    let bottom = height - 12.0;
    let one = LEFT + UNIT;
    let _ = write!(
        svg,
        "<line x1=\"{one}\" y1=\"{TOP}\" x2=\"{one}\" y2=\"{bottom}\" stroke=\"black\" stroke-dasharray=\"3 3\"/>\n</svg>\n"
    );
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_ratios() {
        let figure = |host: &str, ns| Figure {
            case: "4B/4B".into(),
            host: host.into(),
            ns,
            baseline: Some(("pipe", 100)),
        };
        let drawn = svg("6.12 <test>", &[figure("raw", 50), figure("pipe", 100)]);
        assert!(
            drawn.contains("width=\"180.0\"") && drawn.contains("width=\"360.0\""),
            "{drawn}"
        );
        assert!(drawn.contains("6.12 &lt;test&gt;") && drawn.ends_with("</svg>\n"));
        assert_eq!(drawn.matches("<rect").count(), 3);
    }
}
