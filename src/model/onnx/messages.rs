//! The messages of an ONNX file, with the fields that are read, called as in `onnx.proto`.

/// `AttributeProto.type`, where it matters here.
pub mod attribute_type {
    #![allow(missing_docs)]
    pub const UNDEFINED: i64 = 0;
    pub const FLOAT: i64 = 1;
    pub const INT: i64 = 2;
    pub const STRING: i64 = 3;
    pub const TENSOR: i64 = 4;
    pub const FLOATS: i64 = 6;
    pub const INTS: i64 = 7;
}

/// A file.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ModelProto {
    pub ir_version: i64,
    pub opset_import: Vec<(String, i64)>,
    pub graph: Option<GraphProto>,
    pub functions: Vec<FunctionProto>,
}

/// A graph, of the file or of a branch.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct GraphProto {
    pub node: Vec<NodeProto>,
    pub initializer: Vec<TensorProto>,
    pub has_sparse_initializer: bool,
    pub input: Vec<ValueInfoProto>,
    pub output: Vec<ValueInfoProto>,
}

/// A function that nodes call.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct FunctionProto {
    pub name: String,
    pub domain: String,
    pub input: Vec<String>,
    pub output: Vec<String>,
    pub attribute_proto: Vec<AttributeProto>,
    pub node: Vec<NodeProto>,
    pub opset_import: Vec<(String, i64)>,
}

/// A node.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct NodeProto {
    pub input: Vec<String>,
    pub output: Vec<String>,
    pub name: String,
    pub op_type: String,
    pub domain: String,
    pub attribute: Vec<AttributeProto>,
}

/// A setting of a node.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct AttributeProto {
    pub name: String,
    pub ref_attr_name: String,
    pub kind: i64,
    pub f: f32,
    pub i: i64,
    pub s: String,
    pub t: Option<TensorProto>,
    pub g: Option<GraphProto>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
}

/// A tensor, without its bytes.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct TensorProto {
    pub name: String,
    pub dims: Vec<i64>,
    pub data_type: i32,
    pub float_data: Vec<f32>,
    pub double_data: Vec<f64>,
    pub int32_data: Vec<i64>,
    pub int64_data: Vec<i64>,
    pub uint64_data: Vec<i64>,
    /// Where `raw_data` lies in the file, and its length.
    pub raw_data: Option<(u64, u64)>,
    pub external_data: Vec<(String, String)>,
    pub is_external: bool,
}

/// An input or output with its type.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ValueInfoProto {
    pub name: String,
    /// Whether its type is given and is not a tensor.
    pub is_other: bool,
    pub elem_type: i32,
    /// Each a number, a name, or neither.
    pub shape: Option<Vec<(Option<i64>, String)>>,
}
