//! Tensors as the file holds them: within it, or in another file of its folder.

use super::host::{ElementType, HostTensor, Values};
use super::messages::TensorProto;
use super::proto::Reader;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

/// The most elements of one tensor of a file: 2³² floats are 16 GiB.
const MOST_ELEMENTS: usize = 1 << 32;

/// Reads a tensor of the model that `reader` reads, whose folder is `folder` (`None`: a model that is not a file,
/// without external data).
///
/// # Errors
/// One line without the file's name: the type is unknown, the data are missing, cut short or outside the folder.
pub fn read_tensor(
    mut proto: TensorProto,
    reader: &mut Reader<'_>,
    folder: Option<&Path>,
) -> Result<HostTensor, String> {
    let name = std::mem::take(&mut proto.name);
    let fail = |cause: String| format!("the tensor {name:?} {cause}");
    let element = ElementType::from_onnx(proto.data_type).ok_or_else(|| {
        fail(format!("has element type {}, and floats, integers and booleans are read", type_name(proto.data_type)))
    })?;
    let shape = proto
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| fail(format!("has a negative dimension: {:?}", proto.dims))))
        .collect::<Result<Vec<_>, _>>()?;
    let count = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= MOST_ELEMENTS)
        .ok_or_else(|| fail(format!("has an impossible shape: {shape:?}")))?;
    let values = if proto.is_external {
        let wanted = count * element.bytes();
        let (mut file, offset) = external_file(&proto, folder, wanted).map_err(fail)?;
        decode(element, count, &mut file, offset).map_err(fail)?
    } else if let Some((offset, length)) = proto.raw_data.filter(|(_, length)| *length > 0) {
        let wanted = count * element.bytes();
        if length != wanted as u64 {
            let name = element.name();
            return Err(fail(format!("of shape {shape:?} and type {name} needs {wanted} bytes and has {length}")));
        }
        decode(element, count, reader, offset)?
    } else {
        typed_values(element, proto)
    };
    let tensor = HostTensor { element, shape, values };
    if tensor.len() != count {
        return Err(fail(format!("of shape {:?} needs {count} values and has {}", tensor.shape, tensor.len())));
    }
    Ok(tensor)
}

/// Little-endian bytes as values.
fn decode(element: ElementType, count: usize, reader: &mut Reader<'_>, offset: u64) -> Result<Values, String> {
    use burn::tensor::{bf16, f16};
    // Part by part, so that a large tensor is not held twice.
    macro_rules! read {
        ($kind:ident, $type:ty, $convert:expr) => {{
            let mut values = Vec::with_capacity(count);
            reader.bytes_at(offset, (count * size_of::<$type>()) as u64, |bytes| {
                let parts = bytes.as_chunks::<{ size_of::<$type>() }>().0.iter();
                values.extend(parts.map(|b| $convert(<$type>::from_le_bytes(*b))));
            })?;
            Values::$kind(values)
        }};
    }
    Ok(match element {
        ElementType::F32 => read!(Float, f32, |v: f32| v),
        ElementType::F16 => read!(Float, f16, f32::from),
        ElementType::BF16 => read!(Float, bf16, f32::from),
        ElementType::F64 => read!(Float, f64, |v: f64| v as f32),
        ElementType::I8 => read!(Int, i8, i64::from),
        ElementType::I16 => read!(Int, i16, i64::from),
        ElementType::I32 => read!(Int, i32, i64::from),
        ElementType::U8 => read!(Int, u8, i64::from),
        ElementType::U16 => read!(Int, u16, i64::from),
        ElementType::U32 => read!(Int, u32, i64::from),
        ElementType::I64 | ElementType::U64 => read!(Int, i64, |v: i64| v),
        ElementType::Bool => read!(Bool, u8, |v: u8| v != 0),
    })
}

/// The values of the fields that are not raw bytes.
fn typed_values(element: ElementType, proto: TensorProto) -> Values {
    let halves = |to: fn(u16) -> f32| proto.int32_data.iter().map(|&v| to(v as u16)).collect();
    match element {
        ElementType::F32 => Values::Float(proto.float_data),
        ElementType::F64 => Values::Float(proto.double_data.iter().map(|&v| v as f32).collect()),
        ElementType::F16 => Values::Float(halves(|bits| burn::tensor::f16::from_bits(bits).to_f32())),
        ElementType::BF16 => Values::Float(halves(|bits| burn::tensor::bf16::from_bits(bits).to_f32())),
        ElementType::I64 => Values::Int(proto.int64_data),
        ElementType::U32 | ElementType::U64 => Values::Int(proto.uint64_data),
        ElementType::Bool => Values::Bool(proto.int32_data.iter().map(|&v| v != 0).collect()),
        _ => Values::Int(proto.int32_data.iter().map(|&v| element.wrap(v)).collect()),
    }
}

/// The file that a tensor lies in, as its entry names it, if that is another one.
pub fn location(proto: &TensorProto) -> Option<&str> {
    let entry = proto.external_data.iter().find(|(key, _)| proto.is_external && key == "location");
    entry.map(|(_, location)| location.as_str())
}

/// The file of a tensor that lies in another one, and where in it: only from the model's folder, and only if it has as
/// many bytes there as the shape needs.
fn external_file(proto: &TensorProto, folder: Option<&Path>, wanted: usize) -> Result<(Reader<'static>, u64), String> {
    let folder = folder.ok_or("lies in another file, and this model has no folder")?;
    let entry = |key: &str| proto.external_data.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let location = location(proto).ok_or("lies in another file that it does not name")?;
    let number = |key: &str| -> Result<Option<u64>, String> {
        entry(key).map(|v| v.parse().map_err(|_| format!("has {key} {v:?}, which is no number"))).transpose()
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if length.is_some_and(|length| length != wanted as u64) {
        return Err(format!("needs {wanted} bytes and its entry names {}", length.unwrap_or(0)));
    }
    let path = confined(folder, location)?;
    let fail = |e: std::io::Error| format!("lies in {location:?}, which cannot be read ({e})");
    let file = File::open(&path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    if offset.checked_add(wanted as u64).is_none_or(|end| end > size) {
        return Err(format!("needs {wanted} bytes at {offset} of {location:?}, which has {size}"));
    }
    Ok((Reader::new(file, size), offset))
}

/// The file `location` in `folder`, refused if it leaves it, by name or by a link.
fn confined(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let relative = Path::new(location);
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !plain || location.is_empty() || location.contains('\\') {
        return Err(format!("lies in {location:?}, outside the model's folder: only files beside the model are read"));
    }
    let fail = |e: std::io::Error| format!("lies in {location:?}, which cannot be read ({e}); put it beside the model");
    let folder = folder.canonicalize().map_err(fail)?;
    let path = folder.join(relative).canonicalize().map_err(fail)?;
    if !path.starts_with(&folder) {
        return Err(format!("lies in {location:?}, a link that leaves the model's folder: only files in it are read"));
    }
    Ok(path)
}

/// The ONNX name of an element type that is not read.
fn type_name(number: i32) -> String {
    let name = match number {
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        17..=20 => "float8",
        21 => "uint4",
        22 => "int4",
        23 => "float4",
        _ => return number.to_string(),
    };
    name.to_owned()
}
