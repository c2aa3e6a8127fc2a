//! patrol-core
