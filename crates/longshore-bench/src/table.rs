//! The table of results: rows, the verdict on each, and the output as Markdown and as JSON.

use serde_json::{Value, json};

use crate::machine::Machine;

/// What a row measured, beside its peer and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// In `unit`, like `peer`.
    pub value: f64,
    /// What the peer (such as Docker Swarm) or the machine's limit reached in the same run; `None` if there is neither.
    pub peer: Option<f64>,
    pub unit: &'static str,
    /// What `peer` is, for the table.
    pub peer_name: &'static str,
    pub bounds: Bounds,
}

/// What the design asks for (design.md, 6): `must` has to be met, `reach` is what we aim at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds {
    /// The value itself is at most this. [`Bounds::AtLeast`] likewise.
    AtMost {
        must: f64,
        reach: f64,
    },
    AtLeast {
        must: f64,
        reach: f64,
    },
    /// The value divided by the peer's. [`Bounds::RatioAtLeast`] likewise.
    RatioAtMost {
        must: f64,
        reach: f64,
    },
    RatioAtLeast {
        must: f64,
        reach: f64,
    },
    /// The peer's divided by the value, both times: how many times faster we are.
    FasterAtLeast {
        must: f64,
        reach: f64,
    },
}

/// Which bound a number meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reach,
    /// `must`, but not `reach`.
    Must,
    /// Neither.
    Short,
    /// The bounds are relative to a peer, and there is none.
    Unknown,
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Verdict::Reach => "reach",
            Verdict::Must => "must",
            Verdict::Short => "SHORT",
            Verdict::Unknown => "?",
        }
    }
}

impl Measured {
    /// The ratio that the bounds are about; the value divided by the peer's if they are about the value itself. `None`
    /// without a peer.
    pub fn ratio(&self) -> Option<f64> {
        let peer = self.peer.filter(|peer| *peer > 0.0)?;
        match self.bounds {
            Bounds::FasterAtLeast { .. } => (self.value > 0.0).then(|| peer / self.value),
            Bounds::AtMost { .. }
            | Bounds::AtLeast { .. }
            | Bounds::RatioAtMost { .. }
            | Bounds::RatioAtLeast { .. } => Some(self.value / peer),
        }
    }

    pub fn verdict(&self) -> Verdict {
        let (is_met, must, reach): (fn(f64, f64) -> bool, _, _) = match self.bounds {
            Bounds::AtMost { must, reach } | Bounds::RatioAtMost { must, reach } => {
                (|value, bound| value <= bound, must, reach)
            }
            Bounds::AtLeast { must, reach }
            | Bounds::RatioAtLeast { must, reach }
            | Bounds::FasterAtLeast { must, reach } => (|value, bound| value >= bound, must, reach),
        };
        let judged = match self.bounds {
            Bounds::AtMost { .. } | Bounds::AtLeast { .. } => Some(self.value),
            Bounds::RatioAtMost { .. } | Bounds::RatioAtLeast { .. } | Bounds::FasterAtLeast { .. } => {
                self.ratio()
            }
        };
        match judged {
            None => Verdict::Unknown,
            Some(value) if is_met(value, reach) => Verdict::Reach,
            Some(value) if is_met(value, must) => Verdict::Must,
            Some(_) => Verdict::Short,
        }
    }

    /// True if less is better.
    fn is_better_low(&self) -> bool {
        match self.bounds {
            Bounds::AtMost { .. } | Bounds::RatioAtMost { .. } | Bounds::FasterAtLeast { .. } => true,
            Bounds::AtLeast { .. } | Bounds::RatioAtLeast { .. } => false,
        }
    }

    /// By how much it is better or worse than before: `5 % worse`.
    fn change(&self, before: f64) -> String {
        let (good, bad) = if self.is_better_low() { (before, self.value) } else { (self.value, before) };
        let percent = (good / bad - 1.0) * 100.0;
        match percent {
            _ if !percent.is_finite() => String::new(),
            _ if percent.abs() < 0.5 => "same".to_owned(),
            _ if percent > 0.0 => format!("{percent:.0} % better"),
            _ => format!("{:.0} % worse", (bad / good - 1.0) * 100.0),
        }
    }

    fn bounds_text(&self) -> (String, String) {
        let (must, reach, suffix) = match self.bounds {
            Bounds::AtMost { must, reach } | Bounds::AtLeast { must, reach } => (must, reach, self.unit),
            Bounds::RatioAtMost { must, reach } | Bounds::RatioAtLeast { must, reach } => (must, reach, "x"),
            Bounds::FasterAtLeast { must, reach } => (must, reach, "x faster"),
        };
        let show = |bound| match suffix {
            "x" => format!("{bound}x"),
            suffix => format!("{} {suffix}", number(bound)),
        };
        (show(must), show(reach))
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    pub what: String,
    /// The error is why it could not be measured.
    pub measured: Result<Measured, String>,
    /// How it was measured, and what else was seen.
    pub note: String,
    /// The same number of another build, in the unit of this one.
    pub before: Option<f64>,
}

/// The rows with the numbers that another build had in the same run.
pub fn compared(rows: Vec<Row>, before: &[Row]) -> impl Iterator<Item = Row> {
    rows.into_iter().map(|row| {
        let same = before.iter().find(|other| other.what == row.what);
        Row { before: same.and_then(|other| Some(other.measured.as_ref().ok()?.value)), ..row }
    })
}

/// All rows of a run, and the machine before and after it.
pub struct Table {
    pub before: Machine,
    pub after: Machine,
    pub quick: bool,
    pub rows: Vec<Row>,
}

const HEADINGS: [&str; 10] =
    ["what", "measured", "peer", "peer is", "ratio", "must", "reach", "verdict", "build before", "change"];

impl Table {
    /// Prints Markdown whose columns are aligned, so that it reads as plain text too.
    pub fn print(&self) {
        // The last two only where another build was measured as well.
        let shown = if self.rows.iter().any(|row| row.before.is_some()) {
            HEADINGS.len()
        } else {
            HEADINGS.len() - 2
        };
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(cells));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..shown).map(width).collect();
        for (index, line) in lines.iter().enumerate() {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
                .collect();
            println!("| {} |", cells.join(" | "));
            if index == 0 {
                let lines: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
                println!("|{}|", lines.join("|"));
            }
        }
        println!();
        for row in self.rows.iter().filter(|row| !row.note.is_empty()) {
            println!("- {}: {}", row.what, row.note);
        }
        println!(
            "- Machine: {} cores, kernel {}; load average {} before, {} after{}.",
            self.before.cores,
            self.before.kernel,
            self.before.load_average,
            self.after.load_average,
            if self.quick { "; quick run" } else { "" },
        );
    }

    /// The same as JSON, with unrounded numbers.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut value = json!({"what": row.what, "note": row.note});
            match &row.measured {
                Ok(measured) => {
                    value["measured"] = json!(measured.value);
                    value["unit"] = json!(measured.unit);
                    value["peer"] = json!(measured.peer);
                    value["peerIs"] = json!(measured.peer_name);
                    value["ratio"] = json!(measured.ratio());
                    let (must, reach) = measured.bounds_text();
                    value["must"] = json!(must);
                    value["reach"] = json!(reach);
                    value["verdict"] = json!(measured.verdict().text());
                    value["before"] = json!(row.before);
                }
                Err(reason) => value["notMeasured"] = json!(reason),
            }
            value
        });
        json!({
            "quick": self.quick, "before": self.before, "after": self.after, "rows": rows.collect::<Vec<_>>(),
        })
    }
}

fn cells(row: &Row) -> [String; 10] {
    let what = row.what.clone();
    match &row.measured {
        Ok(measured) => {
            let (must, reach) = measured.bounds_text();
            let with_unit = |value| format!("{} {}", number(value), measured.unit);
            [
                what,
                with_unit(measured.value),
                measured.peer.map(with_unit).unwrap_or_default(),
                measured.peer_name.to_owned(),
                measured.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                must,
                reach,
                measured.verdict().text().to_owned(),
                row.before.map(with_unit).unwrap_or_default(),
                row.before.map(|before| measured.change(before)).unwrap_or_default(),
            ]
        }
        Err(reason) => {
            let mut cells = [const { String::new() }; 10];
            (cells[0], cells[1], cells[3]) = (what, "not measured".into(), reason.clone());
            cells
        }
    }
}

/// Three significant digits or so; thousands are grouped.
pub fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    } else if value.abs() >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: f64, peer: Option<f64>, bounds: Bounds) -> Measured {
        Measured { value, peer, unit: "ms", peer_name: "p", bounds }
    }

    #[test]
    fn verdicts() {
        use Bounds as B;
        let cases = [
            (1.0, None, B::AtMost { must: 5.0, reach: 2.0 }, Verdict::Reach),
            (3.0, None, B::AtMost { must: 5.0, reach: 2.0 }, Verdict::Must),
            (6.0, Some(1.0), B::AtMost { must: 5.0, reach: 2.0 }, Verdict::Short),
            (6.0, None, B::AtLeast { must: 5.0, reach: 9.0 }, Verdict::Must),
            (6.0, None, B::RatioAtMost { must: 5.0, reach: 9.0 }, Verdict::Unknown),
            (6.0, Some(10.0), B::RatioAtMost { must: 0.7, reach: 0.5 }, Verdict::Must),
            (6.0, Some(3.0), B::RatioAtLeast { must: 0.95, reach: 2.0 }, Verdict::Reach),
            (10.0, Some(30.0), B::FasterAtLeast { must: 2.4, reach: 4.4 }, Verdict::Must),
        ];
        for (value, peer, bounds, expected) in cases {
            assert_eq!(measured(value, peer, bounds).verdict(), expected, "{value} {peer:?} {bounds:?}");
        }
    }

    #[test]
    fn a_change_is_told_in_the_direction_of_its_bound() {
        use Bounds as B;
        let cases = [
            (10.0, 20.0, B::AtMost { must: 5.0, reach: 2.0 }, "100 % better"),
            (21.0, 20.0, B::RatioAtMost { must: 5.0, reach: 2.0 }, "5 % worse"),
            (90.0, 100.0, B::AtLeast { must: 5.0, reach: 9.0 }, "11 % worse"),
            (3.0, 2.0, B::FasterAtLeast { must: 2.4, reach: 4.4 }, "50 % worse"),
            (100.0, 100.1, B::RatioAtLeast { must: 2.4, reach: 4.4 }, "same"),
            (1.0, 0.0, B::AtLeast { must: 2.4, reach: 4.4 }, ""),
        ];
        for (value, before, bounds, expected) in cases {
            assert_eq!(measured(value, None, bounds).change(before), expected, "{value} {before} {bounds:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.456, "0.46"),
            (3.0, "3"),
            (12.34, "12.3"),
            (123.4, "123"),
            (12_345.6, "12,346"),
            (1_000_000.0, "1,000,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
