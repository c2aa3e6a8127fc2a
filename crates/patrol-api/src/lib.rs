//! patrol-api
