//! patrol-notify
