//! One point of a workload that grows: the gradient or the forward pass of the bundled model on the CPU, its time and the memory
//! that it took. A process of its own for each point, since memory that was taken once is not given back.
//!
//!     grow gradient|forward SIDE BATCH SECONDS [GIB]
//!
//! repeats the work for so many seconds, twice at least, and prints a line of JSON: the shortest and the median time in seconds, bytes
//! resident before and at the peak. With GIB the gradient keeps to that much memory, in tiles where it must. `benches/peers/grow.py`
//! runs many of these beside PyTorch and draws the curves.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Objective, input_gradient};
use epsiloscope::data::Mask;
use epsiloscope::model::{BuiltIn, Head, Logits, Model, within};
use std::sync::Arc;
use std::time::Instant;

/// A line of /proc/self/status, in bytes.
fn resident(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [item, rest @ ..] = &arguments[..] else {
        println!("grow gradient|forward SIDE BATCH SECONDS [GIB]; benches/peers/grow.py does it for all");
        return;
    };
    let number = |i: usize| rest.get(i).and_then(|word| word.parse::<f64>().ok());
    let (side, batch) = (number(0).unwrap() as usize, number(1).unwrap() as usize);
    let seconds = number(2).unwrap();
    let device = Device::flex();
    let mut model: Arc<dyn Model> = Arc::new(BuiltIn::bundled(&device).unwrap());
    if let Some(gib) = number(3) {
        model = within(model, (gib * f64::from(1 << 30)) as u64);
    }
    let value = |i: usize| ((i * 2_654_435_761) >> 9) % 256;
    let pixels: Vec<f32> = (0..batch * side * side).map(|i| value(i) as f32 / 255.0).collect();
    let x = Tensor::<4>::from_data(TensorData::new(pixels, [batch, 1, side, side]), &device);
    let classes = (0..side * side).map(|i| u8::from(value(i) < 64)).collect();
    let mask = Mask { height: side, width: side, classes };
    let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
    let work = || match item.as_str() {
        "gradient" => drop(input_gradient(model.as_ref(), &x, &objective).unwrap().1.into_data()),
        "forward" => {
            let Ok(Logits::Dense(logits)) = model.logits(x.clone()) else { unreachable!() };
            drop(logits.into_data());
        }
        other => panic!("{other}: gradient or forward"),
    };
    let before = resident("VmRSS");
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 2 || start.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        work();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let tiles = model.tiles(side, side).ok().flatten().map_or(1, |tiles| tiles.count[0] * tiles.count[1]);
    println!(
        "{{\"shortest\": {}, \"median\": {}, \"before\": {before}, \"peak\": {}, \"tiles\": {tiles}}}",
        times[0],
        times[times.len() / 2],
        resident("VmHWM"),
    );
}
