//! Charts over time as SVG, drawn on the server. Each has its numbers in a table beside it, for those who cannot see it.

use maud::{Markup, html};

use crate::time::{Instant, format_instant};

/// The size of a chart in its own units.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 110.0;
/// The space for the numbers of the axes.
const LEFT: f64 = 34.0;
const BOTTOM: f64 = 14.0;
const TOP: f64 = 6.0;

/// A value at a time; `None` if nothing is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The beginning of the time that the value is of.
    pub at: Instant,
    /// The value.
    pub value: Option<f64>,
}

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: &'static str,
    /// The class of the line in the style sheet.
    pub class: &'static str,
    /// In the order of their times, at equal distances.
    pub points: Vec<Point>,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// The unit of the values.
    pub unit: &'static str,
    /// The lines; all have the same times.
    pub lines: Vec<Line>,
    /// What the times of the axis show of an instant.
    pub time: fn(Instant) -> String,
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below a value, for the end of an axis.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= value * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// A value with as many digits as people read.
pub fn short(value: f64) -> String {
    match value {
        v if v >= 9_999_500.0 => format!("{:.0}M", v / 1e6),
        v if v >= 999_500.0 => format!("{:.1}M", v / 1e6),
        v if v >= 9_999.5 => format!("{:.0}k", v / 1e3),
        v if v >= 9.95 || v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 0.095 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

impl Chart {
    /// The largest value.
    fn most(&self) -> f64 {
        let values = self.lines.iter().flat_map(|line| &line.points).filter_map(|point| point.value);
        values.fold(0.0, f64::max)
    }

    /// What the chart shows, in a sentence.
    fn summary(&self) -> String {
        let parts = self.lines.iter().map(|line| {
            let known: Vec<f64> = line.points.iter().filter_map(|point| point.value).collect();
            match (known.last(), known.iter().copied().reduce(f64::max)) {
                (Some(last), Some(most)) => format!("{}: {} last, {} at most", line.name, short(*last), short(most)),
                (..) => format!("{}: no data", line.name),
            }
        });
        format!("{}, {}. {}.", self.title, self.unit, parts.collect::<Vec<_>>().join("; "))
    }

    /// The chart as a figure.
    pub fn figure(&self) -> Markup {
        let top = ceiling(self.most());
        let (right, floor) = (WIDTH - 4.0, HEIGHT - BOTTOM);
        let y = |value: f64| floor - (value / top).clamp(0.0, 1.0) * (floor - TOP);
        let count = self.lines.first().map_or(0, |line| line.points.len());
        let x = |index: usize| LEFT + (right - LEFT) * index as f64 / (count.max(2) - 1) as f64;
        let times = self.lines.first().map(|line| line.points.as_slice()).unwrap_or_default();
        html! {
            figure.chart {
                figcaption {
                    (self.title) " " span.quiet { (self.unit) }
                    @if self.lines.len() > 1 {
                        ul.legend { @for line in &self.lines { li { span class={ "key " (line.class) } {} (line.name) } } }
                    }
                }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.summary()) {
                    @for value in [0.0, top / 2.0, top] {
                        line.axis x1=(LEFT) x2=(right) y1=(round(y(value))) y2=(round(y(value))) {}
                        text x=(LEFT - 4.0) y=(round(y(value) + 3.0)) text-anchor="end" { (short(value)) }
                    }
                    @if let (Some(first), Some(last)) = (times.first(), times.last()) {
                        text x=(LEFT) y=(HEIGHT - 3.0) { ((self.time)(first.at)) }
                        @if let Some(middle) = times.get(times.len() / 2) {
                            text x=(round(x(times.len() / 2))) y=(HEIGHT - 3.0) text-anchor="middle" { ((self.time)(middle.at)) }
                        }
                        text x=(right) y=(HEIGHT - 3.0) text-anchor="end" { ((self.time)(last.at)) }
                    }
                    @for line in &self.lines { @for part in runs(&line.points) { (drawn(line.class, &part, x, y, floor)) } }
                }
            }
        }
    }
}

/// The parts of a line without a gap: indexes and values.
fn runs(points: &[Point]) -> Vec<Vec<(usize, f64)>> {
    let mut parts: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut gap = true;
    for (index, point) in points.iter().enumerate() {
        match (point.value, parts.last_mut()) {
            (Some(value), Some(part)) if !gap => part.push((index, value)),
            (Some(value), _) => parts.push(vec![(index, value)]),
            (None, _) => {}
        }
        gap = point.value.is_none();
    }
    parts
}

fn drawn(class: &str, part: &[(usize, f64)], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64, floor: f64) -> Markup {
    let at = |(index, value): &(usize, f64)| format!("{},{}", round(x(*index)), round(y(*value)));
    let path: Vec<String> = part.iter().map(at).collect();
    let path = path.join(" ");
    html! {
        @if let [(index, value)] = part {
            // A point alone would be a line without a length.
            circle class={ "dot " (class) } cx=(round(x(*index))) cy=(round(y(*value))) r="1.5" {}
        } @else if let (Some((first, _)), Some((last, _))) = (part.first(), part.last()) {
            @if class == "main" {
                polygon.area points={ (round(x(*first))) "," (floor) " " (path) " " (round(x(*last))) "," (floor) } {}
            }
            polyline class={ "line " (class) } points=(path) {}
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The numbers of several charts with the same times, as a table.
pub fn numbers(charts: &[Chart]) -> Markup {
    let lines: Vec<(&Chart, &Line)> = charts.iter().flat_map(|chart| chart.lines.iter().map(move |line| (chart, line))).collect();
    let times = lines.first().map(|(_, line)| line.points.as_slice()).unwrap_or_default();
    html! {
        div.wide tabindex="0" role="region" aria-label="The charts as numbers" {
            table {
                caption.hidden { "The charts as numbers" }
                thead { tr {
                    th scope="col" { "From (UTC)" }
                    @for (chart, line) in &lines { th.number scope="col" { (chart.title) @if chart.lines.len() > 1 { ": " (line.name) } } }
                } }
                tbody {
                    @for (index, point) in times.iter().enumerate() {
                        tr {
                            th scope="row" { (format_instant(point.at).replace('T', " ").trim_end_matches(":00Z")) }
                            @for (_, line) in &lines {
                                td.number { @match line.points.get(index).and_then(|p| p.value) { Some(value) => (short(value)), None => "–" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_instant;

    fn chart(values: &[Option<f64>]) -> Chart {
        let start = parse_instant("2026-01-02T03:00:00Z").unwrap();
        let point = |(n, value): (usize, &Option<f64>)| Point { at: start + std::time::Duration::from_secs(60 * n as u64), value: *value };
        let points = values.iter().enumerate().map(point).collect();
        let lines = vec![Line { name: "calls", class: "main", points }];
        Chart { title: "Calls", unit: "per minute", lines, time: |at| format_instant(at)[11..16].to_owned() }
    }

    #[test]
    fn an_axis_ends_at_a_round_number_that_no_value_exceeds() {
        for (value, end) in [(0.0, 1.0), (0.3, 0.5), (1.0, 1.0), (7.0, 10.0), (199.0, 200.0), (201.0, 500.0), (f64::NAN, 1.0)] {
            let found = ceiling(value);
            assert!((found - end).abs() < 1e-9, "{value}: {found}");
        }
    }

    #[test]
    fn a_time_without_data_is_a_gap_and_a_lone_value_is_a_dot() {
        let shown = chart(&[Some(1.0), Some(2.0), None, Some(3.0)]).figure().into_string();
        assert_eq!(shown.matches("<polyline").count(), 1, "{shown}");
        assert_eq!(shown.matches("<circle").count(), 1, "{shown}");
        assert!(shown.contains("3 last, 3 at most"), "{shown}");
        assert!(shown.contains(">03:00<") && shown.contains(">03:03<"), "{shown}");
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        for values in [&[][..], &[None, None][..]] {
            let shown = chart(values).figure().into_string();
            assert!(shown.contains("calls: no data") && !shown.contains("NaN") && !shown.contains("<polyline"), "{shown}");
        }
    }

    #[test]
    fn the_table_has_the_same_numbers_as_the_chart() {
        let shown = numbers(&[chart(&[Some(12_345.0), None, Some(0.25)])]).into_string();
        assert!(shown.contains("<th scope=\"row\">2026-01-02 03:00</th><td class=\"number\">12k</td>"), "{shown}");
        assert!(shown.contains("<td class=\"number\">–</td>") && shown.contains("<td class=\"number\">0.2</td>"), "{shown}");
    }
}
