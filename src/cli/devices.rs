//! `epsiloscope devices`: what can compute.

use super::options::print;
use crate::gpu::{DeviceDescription, list_devices};

pub(super) fn run() -> anyhow::Result<()> {
    let rows: Vec<String> = list_devices().iter().map(row).collect();
    print(&rows.concat())
}

/// `llvmpipe (LLVM 15.0.6, 256 bits), Vulkan, software GPU; tensors up to 128 MiB; --device gpu`.
fn row(device: &DeviceDescription) -> String {
    let mut text = format!("{}, {}, {}", device.name, device.backend, device.kind);
    if !device.driver.is_empty() {
        text += &format!("; driver {}", device.driver);
    }
    if let Some(bytes) = device.largest_tensor_bytes {
        text += &format!("; tensors up to {}", size(bytes));
    }
    if !device.usable {
        text += "; cannot compute";
    }
    let cpu = device.backend == "Flex";
    let choices = [("auto", device.auto), ("gpu", device.gpu), ("cpu", cpu)];
    let chosen: Vec<&str> = choices.iter().filter(|(_, yes)| *yes).map(|(name, _)| *name).collect();
    if !chosen.is_empty() {
        text += &format!("; --device {}", chosen.join(" or "));
    }
    text + "\n"
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes >= 10_240 => format!("{} GiB", mebibytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}
