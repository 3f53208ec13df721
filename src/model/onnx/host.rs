//! Arrays on the host: shapes, indices, masks and the settings of operators, which decide what is computed and are
//! therefore never waited for on a device.

/// An ONNX element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ElementType {
    F16,
    BF16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl ElementType {
    /// From the number of `TensorProto.DataType`, if it is a type that this program computes with.
    pub fn from_onnx(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            4 => Self::U16,
            5 => Self::I16,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            12 => Self::U32,
            13 => Self::U64,
            16 => Self::BF16,
            _ => return None,
        })
    }

    /// Whether its values are floats. All of them are computed in 32 bits.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Whether its values are integers below 0 and above.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::I8 | Self::I16 | Self::I32 | Self::I64)
    }

    /// Bytes of an element in a file.
    pub fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The ONNX name: `float`, `int64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float",
            Self::F64 => "double",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
        }
    }

    /// `value` brought into the range of this integer type by discarding bits, as a cast does. A `uint64` keeps its
    /// bits.
    pub fn wrap(self, value: i64) -> i64 {
        match self {
            Self::I8 => i64::from(value as i8),
            Self::I16 => i64::from(value as i16),
            Self::I32 => i64::from(value as i32),
            Self::U8 => i64::from(value as u8),
            Self::U16 => i64::from(value as u16),
            Self::U32 => i64::from(value as u32),
            _ => value,
        }
    }
}

/// The values of a [`HostTensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Of any float type.
    Float(Vec<f32>),
    /// Of any integer type.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// What the graph calls its type.
    pub element: ElementType,
    /// Its dimensions; none for a scalar.
    pub shape: Vec<usize>,
    /// Its values, as many as the shape says.
    pub values: Values,
}

impl HostTensor {
    /// Floats of 32 bits.
    pub fn floats(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        Self { element: ElementType::F32, shape: shape.into(), values: Values::Float(values) }
    }

    /// Integers of 64 bits.
    pub fn ints(shape: impl Into<Vec<usize>>, values: Vec<i64>) -> Self {
        Self { element: ElementType::I64, shape: shape.into(), values: Values::Int(values) }
    }

    /// Truth values.
    pub fn bools(shape: impl Into<Vec<usize>>, values: Vec<bool>) -> Self {
        Self { element: ElementType::Bool, shape: shape.into(), values: Values::Bool(values) }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Float(v) => v.len(),
            Values::Int(v) => v.len(),
            Values::Bool(v) => v.len(),
        }
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as floats; `true` is 1.
    pub fn to_floats(&self) -> Vec<f32> {
        match &self.values {
            Values::Float(v) => v.clone(),
            Values::Int(v) if self.element == ElementType::U64 => v.iter().map(|&v| v as u64 as f32).collect(),
            Values::Int(v) => v.iter().map(|&v| v as f32).collect(),
            Values::Bool(v) => v.iter().map(|&v| f32::from(u8::from(v))).collect(),
        }
    }

    /// As [`HostTensor::to_floats`], without a copy where they are floats.
    pub fn into_floats(self) -> Vec<f32> {
        match self.values {
            Values::Float(v) => v,
            _ => self.to_floats(),
        }
    }

    /// The values as integers, floats truncated towards zero.
    pub fn to_ints(&self) -> Vec<i64> {
        match &self.values {
            Values::Float(v) => v.iter().map(|&v| v as i64).collect(),
            Values::Int(v) => v.clone(),
            Values::Bool(v) => v.iter().map(|&v| i64::from(v)).collect(),
        }
    }

    /// The values as truth: what is not zero.
    pub fn to_bools(&self) -> Vec<bool> {
        match &self.values {
            Values::Float(v) => v.iter().map(|&v| v != 0.0).collect(),
            Values::Int(v) => v.iter().map(|&v| v != 0).collect(),
            Values::Bool(v) => v.clone(),
        }
    }

    /// The same values as another type, as the operator Cast defines.
    pub fn cast(&self, element: ElementType) -> Self {
        let values = if element.is_float() {
            let floats = self.to_floats();
            Values::Float(match element {
                ElementType::F16 => floats.into_iter().map(round_to_half).collect(),
                ElementType::BF16 => floats.into_iter().map(round_to_bfloat).collect(),
                _ => floats,
            })
        } else if element == ElementType::Bool {
            Values::Bool(self.to_bools())
        } else {
            Values::Int(self.to_ints().into_iter().map(|v| element.wrap(v)).collect())
        };
        Self { element, shape: self.shape.clone(), values }
    }

    /// Elements at the flat positions `index`, in a new `shape`. `None` is the type's zero.
    pub fn take(&self, shape: Vec<usize>, index: impl Iterator<Item = Option<usize>>) -> Self {
        fn pick<T: Copy + Default>(from: &[T], index: impl Iterator<Item = Option<usize>>) -> Vec<T> {
            index.map(|i| i.and_then(|i| from.get(i).copied()).unwrap_or_default()).collect()
        }
        let values = match &self.values {
            Values::Float(v) => Values::Float(pick(v, index)),
            Values::Int(v) => Values::Int(pick(v, index)),
            Values::Bool(v) => Values::Bool(pick(v, index)),
        };
        Self { element: self.element, shape, values }
    }

    /// The same values in another shape of as many elements.
    pub fn reshaped(mut self, shape: Vec<usize>) -> Self {
        self.shape = shape;
        self
    }

    /// Repeated to `shape`, which it must broadcast to.
    pub fn broadcast(&self, shape: &[usize]) -> Self {
        if self.shape == shape {
            return self.clone();
        }
        let strides = broadcast_strides(&self.shape, shape);
        self.take(shape.to_vec(), positions(shape, &strides, 0).map(Some))
    }
}

fn round_to_half(value: f32) -> f32 {
    burn::tensor::f16::from_f32(value).to_f32()
}

fn round_to_bfloat(value: f32) -> f32 {
    burn::tensor::bf16::from_f32(value).to_f32()
}

/// Elements from one index to the next, of a row-major array.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// The strides that read an array of shape `from` as one of shape `to`: 0 along what is repeated.
pub fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let lead = to.len() - from.len();
    (0..to.len()).map(|i| if i < lead || from[i - lead] == 1 { 0 } else { own[i - lead] }).collect()
}

/// The flat positions that a walk over `shape` in row-major order visits with these strides.
pub fn positions(shape: &[usize], strides: &[usize], start: usize) -> impl Iterator<Item = usize> + use<> {
    let (shape, strides) = (shape.to_vec(), strides.to_vec());
    let count: usize = shape.iter().product();
    let mut index = vec![0; shape.len()];
    let mut at = start;
    (0..count).map(move |_| {
        let here = at;
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
        here
    })
}

/// The shape that two shapes broadcast to, as in NumPy.
pub fn broadcast_shapes(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}
