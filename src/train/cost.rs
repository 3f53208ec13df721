//! What a training costs, in words.

use std::time::Duration;

/// Floating-point operations as people read them: `2.5 PFLOP`.
pub fn operations(flops: f64) -> String {
    let (unit, name) = [(1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP")]
        .into_iter()
        .find(|(unit, _)| flops >= *unit)
        .unwrap_or((1e6, "MFLOP"));
    format!("{:.1} {name}", flops / unit)
}

/// A time as people read it: `40 s`, `3 min 20 s`, `2 h 05 min`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_costs_are_not_shown_as_nothing() {
        for (flops, text) in [(2.5e15, "2.5 PFLOP"), (4e11, "400.0 GFLOP"), (3e4, "0.0 MFLOP"), (2e12, "2.0 TFLOP")] {
            assert_eq!(operations(flops), text);
        }
        for (seconds, text) in [(4, "4 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
