vim.filetype.add({ extension = { d365map = "d365map" } })
