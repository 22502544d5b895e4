-- Orthanc sends every MR study on once it is stable. Results that come back make the study stable again and all of it is
-- sent once more; zweitblick knows its own objects and what it has, so that nothing is read twice.

function OnStableStudy(studyId, tags, metadata)
  for _, series in ipairs(ParseJson(RestApiGet('/studies/' .. studyId .. '/series'))) do
    if series['MainDicomTags']['Modality'] == 'MR' then
      -- a job of Orthanc's, shown at /jobs
      RestApiPost('/modalities/zweitblick/store', DumpJson({Resources = {studyId}, Synchronous = false}))
      return
    end
  end
end
