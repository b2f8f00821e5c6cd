//! Call facts to tenant, plan and trace. Pure.
