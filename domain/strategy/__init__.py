"""The strategy: Python source by its hash, with parameters, on its way from a draft to live trading."""
